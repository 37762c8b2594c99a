//! A service account: its key signs a claim (a JWT), which Google trades for a token that holds for an hour.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use serde_json::{Value, json};

use super::super::Settings;
use super::super::error::{Error, Result};
use super::super::http::{
    Anonymous, Api, Authorize, Drawer, Manners, Reason, Request, Token, Words, one_line, set_secret_header,
};
use super::super::json::text;
use crate::config::paths::expand_home;
use crate::names::Secret;

/// May do with machines whatever the account's roles allow.
const SCOPE: &str = "https://www.googleapis.com/auth/compute";
/// As long as Google allows.
const LIFE: u64 = 3600;

/// What the account's file (JSON, made by the console) says.
pub struct Account {
    email: String,
    key: PKey<Private>,
    key_id: Option<String>,
    token_uri: String,
    pub project: Option<String>,
    /// Which setting led to it.
    pub from: String,
}

impl Account {
    /// Reads `secret` (the JSON itself), or the file of `credentials_file` or of GOOGLE_APPLICATION_CREDENTIALS.
    ///
    /// Errors: [`Error::Credentials`] when there is none, or it is no service account's. No part of it is shown.
    pub fn of(settings: &Settings<'_>) -> Result<Self> {
        if let Some(found) = settings.find(&["secret"], &[])? {
            return Self::parse(found.value.expose(), found.from);
        }
        let found = settings.require(&["credentials_file"], &["GOOGLE_APPLICATION_CREDENTIALS"])?;
        let file = found.value.expose();
        let text = std::fs::read_to_string(expand_home(file)).map_err(|error| Error::Credentials {
            message: format!("{}: {file} cannot be read: {error}", found.from),
        })?;
        Self::parse(&text, found.from)
    }

    fn parse(text: &str, from: String) -> Result<Self> {
        let bad = |what: &str| Error::Credentials {
            message: format!("{from} is no key of a service account (a JSON file that the console makes): {what}"),
        };
        let file: Value = serde_json::from_str(text).map_err(|_| bad("it is not JSON"))?;
        let field = |name: &str| self::text(&file, name).ok_or_else(|| bad(&format!("it has no {name:?}")));
        let key = PKey::private_key_from_pem(field("private_key")?.as_bytes());
        Ok(Account {
            email: field("client_email")?,
            key: key.map_err(|_| bad("its \"private_key\" is none"))?,
            key_id: self::text(&file, "private_key_id"),
            token_uri: field("token_uri")?,
            project: self::text(&file, "project_id"),
            from: from.clone(),
        })
    }

    /// The signed claim, for a token from now on.
    fn claim(&self, now: u64) -> Result<Secret> {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id}));
        let claims = json!({"iss": self.email, "scope": SCOPE, "aud": self.token_uri, "iat": now, "exp": now + LIFE});
        let signed = format!("{header}.{}", part(claims));
        let sign = || {
            let mut signer = Signer::new(MessageDigest::sha256(), &self.key)?;
            signer.sign_oneshot_to_vec(signed.as_bytes())
        };
        let signature = sign().map_err(|error| Error::Credentials {
            message: format!("the key of {} cannot sign: {error}", self.from),
        })?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// Proves with a token who asks, and gets one where there is none that holds.
pub struct ByToken {
    account: Account,
    api: Api,
    path: String,
    drawer: Drawer,
    kept: Mutex<Option<Token>>,
}

impl ByToken {
    pub fn new(provider: &str, account: Account, manners: &Manners) -> Result<Self> {
        let (base, path) = split(&account.token_uri);
        let api = Api::new(provider, &base, Box::new(Anonymous), manners)?
            .with_credentials(&account.from, &[])
            .with_words(words);
        let public = account.key.public_key_to_der().unwrap_or_default();
        let drawer = manners.tokens.of(&["gce", &account.token_uri, &account.email, SCOPE, &hex::encode(public)]);
        Ok(ByToken { account, api, path, drawer, kept: Mutex::new(None) })
    }

    fn token(&self) -> Result<Secret> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|token| !token.is_fresh()) {
            *kept = self.drawer.get();
        }
        if kept.is_none() {
            let token = self.fetch()?;
            self.drawer.put(&token);
            *kept = Some(token);
        }
        Ok(kept.as_ref().map(Token::secret).unwrap_or_else(|| Secret::new("")))
    }

    fn fetch(&self) -> Result<Token> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        // Nothing in a JWT is another character in a form.
        let form = format!("grant_type={grant}&assertion={}", self.account.claim(now)?.expose());
        let request = Request::post(&self.path).text(form, "application/x-www-form-urlencoded").repeatable();
        let answer = self.api.json(&request)?;
        let token = text(&answer, "access_token").ok_or_else(|| self.api.lacks(&self.path, "access_token"))?;
        Ok(Token { token, expires: now + answer["expires_in"].as_u64().unwrap_or(LIFE), extra: Value::Null })
    }
}

impl Authorize for ByToken {
    fn authorize(&self, request: &mut reqwest::blocking::Request) -> Result<()> {
        set_secret_header(request, "authorization", &format!("Bearer {}", self.token()?.expose()))
    }

    fn renew(&self) -> bool {
        self.drawer.forget();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
        true
    }
}

/// The origin of an address, and its path without the first slash.
fn split(address: &str) -> (String, String) {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (format!("{scheme}://{host}"), path.to_owned())
}

/// OAuth's refusals: `{"error": "invalid_grant", "error_description": "..."}`. All of them are about the account.
fn words(status: u16, body: &[u8]) -> Words {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = text(&value, "error_description").unwrap_or_else(|| format!("the API answers {status}"));
    let reason = if [400, 403].contains(&status) { Reason::Credentials } else { Reason::of_status(status) };
    Words { reason, code: text(&value, "error").unwrap_or_default(), message: one_line(&message) }
}

#[cfg(test)]
mod tests {
    use openssl::rsa::Rsa;
    use openssl::sign::Verifier;

    use super::*;

    fn file(key: &str) -> String {
        let project = "p";
        json!({"client_email": "me@p.test", "private_key": key, "token_uri": "https://oauth2.test/token", "project_id": project})
            .to_string()
    }

    #[test]
    fn a_claim_is_signed_by_the_key() {
        let rsa = Rsa::generate(2048).unwrap();
        let pem = String::from_utf8(rsa.private_key_to_pem().unwrap()).unwrap();
        let account = Account::parse(&file(&pem), "f".into()).unwrap();
        let claim = account.claim(1000).unwrap();
        let (signed, signature) = claim.expose().rsplit_once('.').unwrap();
        let mut verifier = Verifier::new(MessageDigest::sha256(), &account.key).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(verifier.verify_oneshot(&signature, signed.as_bytes()).unwrap());
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((claims["iss"].as_str(), claims["exp"].as_u64()), (Some("me@p.test"), Some(4600)));
        assert_eq!(claims["aud"], "https://oauth2.test/token");
    }

    #[test]
    fn what_is_no_account_is_said_without_showing_it() {
        for (text, expected) in [
            ("hunter2", "it is not JSON"),
            ("{}", "it has no \"private_key\""),
            (&file("hunter2"), "its \"private_key\" is none"),
        ] {
            let Err(error) = Account::parse(text, "`secret` in [provider:g]".into()) else { panic!("{text}") };
            let error = error.to_string();
            assert!(error.ends_with(expected) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_address_is_split_at_its_path() {
        assert_eq!(split("https://oauth2.test/token"), ("https://oauth2.test".into(), "token".into()));
        assert_eq!(split("http://127.0.0.1:80/a/b"), ("http://127.0.0.1:80".into(), "a/b".into()));
    }
}
