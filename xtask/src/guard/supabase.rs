//! Supabase's API address and service key: which project they name, without asking anyone.
//!
//! A legacy key is a JWT that names its project (`ref`), role and end; its signature cannot be checked here, and nothing
//! depends on it: the claims are only ever a reason to refuse. An `sb_secret_` key names nothing, so it is worth as
//! much as the URL beside it. Everything else that looks like a key opens more (`sbp_`) or less (`anon`) than a drill
//! needs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use redact::Secret;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::error::Refusal;

use crate::guard::pattern::{is_made_of, is_project_ref};

const LOOPBACK_APIS: [&str; 3] = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
/// Supabase signs legacy keys with the first; newer projects sign with the others.
const ALGORITHMS: [&str; 3] = ["HS256", "RS256", "ES256"];

/// The REST API that goes with a target.
#[derive(Debug, Clone)]
pub struct SupabaseApi {
    /// Without a last slash.
    pub url: String,
    /// `None` for the local stack on loopback.
    pub project_ref: Option<String>,
    pub key: Option<ServiceKey>,
}

#[derive(Debug, Clone)]
pub struct ServiceKey {
    pub kind: KeyKind,
    pub secret: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A JWT: goes in `apikey` and in `Authorization`.
    Legacy,
    /// `sb_secret_…`: goes in `apikey` only.
    Secret,
}

impl KeyKind {
    pub fn in_words(self) -> &'static str {
        match self {
            KeyKind::Legacy => "a legacy service key (JWT)",
            KeyKind::Secret => "a secret key (the new kind)",
        }
    }
}

/// What a key says about itself.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyClaim {
    Project(String),
    /// A JWT of the local stack, whose well-known demo keys name no project.
    Local,
    /// An opaque key.
    Nothing,
}

/// Reads the API's address, the value of `variable`: exactly `https://<ref>.supabase.co`, or `http://` loopback with a
/// port; a last slash may follow.
pub fn read_url(variable: &str, text: &str) -> Result<SupabaseApi, Refusal> {
    let url = text.strip_suffix('/').unwrap_or(text);
    let project = url.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".supabase.co"));
    let project_ref = project.filter(|project| is_project_ref(project)).map(str::to_owned);
    if project_ref.is_none() && !is_loopback(url) {
        return Err(Refusal::new(
            "supabase-url",
            format!("`{variable}` is not the address of one Supabase project"),
            format!("write `{variable}=https://<project ref>.supabase.co`, all lower case and nothing behind it"),
        ));
    }
    Ok(SupabaseApi { url: url.to_owned(), project_ref, key: None })
}

fn is_loopback(url: &str) -> bool {
    let port = LOOPBACK_APIS.iter().find_map(|start| url.strip_prefix(start));
    port.is_some_and(|port| port.starts_with(|c: char| matches!(c, '1'..='9')) && port.parse::<u16>().is_ok())
}

fn is_secret(key: &str) -> bool {
    key.strip_prefix("sb_secret_").is_some_and(|rest| is_made_of(rest, "_-", 16..=200))
}

/// Reads a service key, the value of `variable`, and what it claims; `now` is what its `exp` is compared with.
pub fn read_key(variable: &str, text: &str, now: Timestamp) -> Result<(ServiceKey, KeyClaim), Refusal> {
    let fix = "copy the secret key (`sb_secret_…`), or the legacy `service_role` key, from the project's API settings";
    let refusal = |seen: &str| Refusal::new("service-key", format!("`{variable}` {seen}"), fix);
    let (kind, claim) = match text {
        text if is_secret(text) => (KeyKind::Secret, KeyClaim::Nothing),
        text if text.starts_with("sbp_") => {
            return Err(refusal("holds a personal access token, which opens every project"));
        }
        text if text.starts_with("sb_publishable_") => {
            return Err(refusal("holds a publishable key, which sees only what anyone may see"));
        }
        text if text.chars().any(|c| !c.is_ascii_graphic()) => {
            return Err(refusal("holds a blank or a line break"));
        }
        text => (KeyKind::Legacy, read_legacy(text, now).map_err(refusal)?),
    };
    Ok((ServiceKey { kind, secret: Secret::new(text) }, claim))
}

fn read_legacy(text: &str, now: Timestamp) -> Result<KeyClaim, &'static str> {
    let [header, payload, signature] = text.split('.').collect::<Vec<_>>()[..] else {
        return Err("is not a Supabase key");
    };
    let signed = URL_SAFE_NO_PAD.decode(signature).is_ok_and(|bytes| !bytes.is_empty());
    let (Some(header), Some(claims)) = (claims_of(header), claims_of(payload)) else {
        return Err("is not a Supabase key, or sets a claim twice");
    };
    if !signed || !header.text("alg").is_some_and(|algorithm| ALGORITHMS.contains(&algorithm)) {
        return Err("holds a key without a signature that Supabase uses");
    }
    if claims.text("role") != Some("service_role") {
        return Err("holds a key of a role that is not `service_role`");
    }
    if claims.get("exp").and_then(Value::as_i64).is_none_or(|end| end <= now.as_second()) {
        return Err("holds a key that has expired or does not say when it will");
    }
    match (claims.get("ref"), claims.text("ref")) {
        (None, _) => Ok(KeyClaim::Local),
        (_, Some(project)) if is_project_ref(project) => Ok(KeyClaim::Project(project.to_owned())),
        _ => Err("holds a key whose `ref` is not a project's"),
    }
}

/// The project that a value names as an API address or a JWT, if it is one; the role does not matter.
pub fn project_of(value: &str) -> Option<String> {
    let of_url = read_url("", value).ok().and_then(|api| api.project_ref);
    let of_token = || Some(claims_of(value.split('.').nth(1)?)?.text("ref")?.to_owned());
    of_url.or_else(of_token).filter(|project| is_project_ref(project))
}

/// A JSON object's members; a name that occurs twice is an error, since parsers differ in which one counts.
struct Claims(Vec<(String, Value)>);

impl Claims {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

fn claims_of(part: &str) -> Option<Claims> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Claims;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
                let mut claims = Claims(Vec::new());
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if claims.get(&name).is_some() {
                        return Err(A::Error::custom("a claim occurs twice"));
                    }
                    claims.0.push((name, value));
                }
                Ok(claims)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_795_348_800, 0);

    fn key(header: &str, payload: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    fn claim(header: &str, payload: &str) -> Option<KeyClaim> {
        read_key("K", &key(header, payload), NOW).ok().map(|(_, claim)| claim)
    }

    const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    #[test]
    fn a_legacy_key_names_its_project() {
        let payload = r#"{"ref":"stagingrefabcdefghij","role":"service_role","exp":1795348801}"#;
        assert_eq!(claim(HEADER, payload), Some(KeyClaim::Project("stagingrefabcdefghij".into())));
        assert_eq!(project_of(&key(HEADER, payload)).as_deref(), Some("stagingrefabcdefghij"));
    }

    #[test]
    fn the_local_demo_key_names_none() {
        let payload = r#"{"iss":"supabase-demo","role":"service_role","exp":1983812996}"#;
        assert_eq!(claim(HEADER, payload), Some(KeyClaim::Local));
    }

    #[test]
    fn a_key_that_two_readers_could_read_differently_is_refused() {
        let good = r#""role":"service_role","exp":1795348801"#;
        for payload in [
            format!(r#"{{"ref":"stagingrefabcdefghij","ref":"stagingrefabcdefghij",{good}}}"#),
            format!(r#"{{"ref":"stagingrefabcdefghij","\u0072ef":"prodrefabcdefghijklm",{good}}}"#),
            format!(r#"{{"ref":["stagingrefabcdefghij"],{good}}}"#),
            format!(r#"{{"ref":"",{good}}}"#),
            format!(r#"{{"ref":null,{good}}}"#),
            format!(r#"[{{"ref":"stagingrefabcdefghij",{good}}}]"#),
            r#"{"ref":"stagingrefabcdefghij","role":"anon","exp":1795348801}"#.into(),
            r#"{"ref":"stagingrefabcdefghij","role":"service_role","exp":1795348800}"#.into(),
            r#"{"ref":"stagingrefabcdefghij","role":"service_role","exp":1e99}"#.into(),
            r#"{"ref":"stagingrefabcdefghij","role":"service_role"}"#.into(),
        ] {
            assert_eq!(claim(HEADER, &payload), None, "{payload}");
        }
        let payload = format!("{{{good}}}");
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"NONE"}"#, "{}", r#"{"alg":"HS256","alg":"none"}"#, "x"] {
            assert_eq!(claim(header, &payload), None, "{header}");
        }
        let unsigned = key(HEADER, &payload).trim_end_matches("c2ln").to_owned();
        assert!(read_key("K", &unsigned, NOW).is_err());
    }

    #[test]
    fn an_api_address_is_one_project_or_loopback() {
        assert_eq!(
            read_url("U", "https://stagingrefabcdefghij.supabase.co/").unwrap().url,
            "https://stagingrefabcdefghij.supabase.co"
        );
        assert!(read_url("U", "http://127.0.0.1:54321").unwrap().project_ref.is_none());
        for url in [
            "http://stagingrefabcdefghij.supabase.co",
            "https://stagingrefabcdefghij.supabase.co//",
            "https://localhost:54321",
            "http://127.0.0.1:54321@evil.com",
            "http://127.0.0.1",
            "https://stagingrefabcdefghij.supabase.co/rest/v1",
            "https://x@stagingrefabcdefghij.supabase.co",
            "HTTPS://stagingrefabcdefghij.supabase.co",
            "http://10.0.0.1:54321",
            "https://stagingrefabcdefghij.supabase.co\n",
            "https://stagingrefabcdefghij.supabase.co?x",
            "",
        ] {
            assert!(read_url("U", url).is_err(), "{url}");
        }
    }
}
