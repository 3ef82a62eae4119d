/** What browsers have and TypeScript's library for documents lacks. */

interface VideoFrame {
  /** https://www.w3.org/TR/webcodecs-video-frame-metadata-registry/ */
  metadata?(): { captureTime?: number };
}

/** Only in workers: https://fs.spec.whatwg.org/#api-filesystemsyncaccesshandle */
interface FileSystemSyncAccessHandle {
  write(bytes: Uint8Array<ArrayBuffer>, options: { readonly at: number }): number;
  flush(): void;
  close(): void;
}

interface FileSystemFileHandle {
  createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>;
}

interface BatteryManager extends EventTarget {
  /** 0 to 1. */
  readonly level: number;
  readonly charging: boolean;
}

interface Navigator {
  /** Chromium alone has it. */
  getBattery?(): Promise<BatteryManager>;
}
