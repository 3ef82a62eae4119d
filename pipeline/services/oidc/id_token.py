"""Check an ID token: by whom it was signed, for whom, when, and in answer to which question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import Key, KeySet, import_key
from joserfc.jws import JWSRegistry

from pipeline.services.oidc.refusals import NotBelieved

#: Signatures by a private key, which only the provider has: neither `none` nor a secret that is shared.
ALGORITHMS = frozenset(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
#: How far apart the clocks may be.
LEEWAY_S = 60
#: OpenID Connect Core 1.0, section 2.
_LONGEST_SUBJECT = 255


def public_keys(document: Any) -> KeySet:
    """The keys of a JWK Set that can check a signature; any other is left out.

    Raises:
        NotBelieved: there is none.
    """
    found: list[Key] = []
    for each in document.get("keys", []) if isinstance(document, dict) else []:
        try:
            if each.get("kty") in {"RSA", "EC"} and each.get("use", "sig") == "sig":
                found.append(import_key(each))
        except Exception:  # noqa: BLE001, S112  RFC 7517, section 5: what is no key that is known is ignored
            continue
    if not found:
        raise NotBelieved("the provider has no key that checks signatures")
    return KeySet(found)


def check_id_token(
    given: object,
    keys: KeySet,
    *,
    algorithms: object,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: object = None,
) -> Mapping[str, Any]:
    """The claims of an ID token, once every check holds.

    Args:
        algorithms: with which the provider says that it signs; None where it does not.
        nonce: the one that the browser was sent away with.
        access_token: which came with it, and which its `at_hash` has to fit.

    Raises:
        NotBelieved: one does not.
    """
    allowed = signing_algorithms(algorithms)
    if not isinstance(given, str) or not allowed:
        raise NotBelieved("there is no ID token" if allowed else "the provider signs in no way that is accepted")
    try:
        token = jwt.decode(given, keys, registry=JWSRegistry(algorithms=allowed, strict_check_header=False))
    except (InvalidKeyIdError, BadSignatureError) as error:
        raise NotBelieved(f"signature: {type(error).__name__}", other_keys=True) from error
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        raise NotBelieved(f"form: {type(error).__name__}") from error
    rules = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client_id},
        "sub": {"essential": True},
    }
    about = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    claims = CodeIDToken(token.claims, token.header, rules, about)
    try:
        claims.validate(leeway=LEEWAY_S)
    except (JoseError, ValueError, TypeError) as error:
        raise NotBelieved(f"claims: {error}") from error
    if not 0 < len(claims["sub"]) <= _LONGEST_SUBJECT or not claims["sub"].isprintable():
        raise NotBelieved("claims: the subject is empty, too long, or no text")
    return dict(claims)


def signing_algorithms(listed: object) -> frozenset[str]:
    """What is accepted of the algorithms that a provider lists."""
    return ALGORITHMS.intersection(map(str, listed)) if isinstance(listed, list) else ALGORITHMS
