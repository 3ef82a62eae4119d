/** Parts of forms. */

import type { ComponentChildren, InputHTMLAttributes } from "preact";

interface FieldProps {
  readonly label: string;
  readonly hint?: string;
  readonly children: ComponentChildren;
}

/** A control with its label above it, and a hint. */
export function Field({ label, hint, children }: FieldProps) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is among the children
    <label class="field">
      <span>{label}</span>
      {children}
      {hint && <small>{hint}</small>}
    </label>
  );
}

interface TextProps {
  readonly label: string;
  readonly hint?: string;
  readonly type?: "text" | "email" | "password" | "url";
  readonly name?: string;
  readonly autocomplete?: string;
  readonly placeholder?: string;
  readonly required?: boolean;
  readonly disabled?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** A field of one line of text. */
export function TextField({ label, hint, onChange, ...told }: TextProps) {
  // Preact's types have one kind of input for each `type`, and none for several.
  const input = told as InputHTMLAttributes<HTMLInputElement>;
  return (
    <Field label={label} {...(hint === undefined ? {} : { hint })}>
      <input {...input} onInput={(event) => onChange(event.currentTarget.value)} />
    </Field>
  );
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly value: T;
  /** What each value is called. */
  readonly options: Readonly<Record<T, string>>;
  readonly onChange: (value: T) => void;
}

/** A choice of one among a few. */
export function ChoiceField<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  return (
    <Field label={label}>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value as T)}>
        {Object.entries<string>(options).map(([each, name]) => (
          <option key={each} value={each}>
            {name}
          </option>
        ))}
      </select>
    </Field>
  );
}

/** Calls `work` when a form is sent, instead of leaving the page. */
export function onSent(work: () => Promise<unknown>): (event: Event) => void {
  return (event) => {
    event.preventDefault();
    void work();
  };
}
