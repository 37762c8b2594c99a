//! Keystone, the identity service of OpenStack, API v3: credentials for a token and the catalogue.

use serde_json::json;

use super::super::error::{Error, Result};
use super::super::http::{Anonymous, Api, Manners, Request, Token};
use super::super::json::{seconds_since_1970, text};
use super::account::Account;
use super::catalog;
use super::session::LogIn;

/// Where tokens come from.
pub struct Keystone {
    api: Api,
    body: serde_json::Value,
}

impl Keystone {
    pub fn new(provider: &str, account: &Account, manners: &Manners) -> Result<Self> {
        let api = Api::new(provider, &account.auth_url, Box::new(Anonymous), manners)?
            .with_address_from(&account.auth_url_from)
            .with_credentials(&account.from, std::slice::from_ref(&account.secret));
        Ok(Keystone { api, body: account.body() })
    }
}

impl LogIn for Keystone {
    fn log_in(&self) -> Result<Token> {
        const PATH: &str = "auth/tokens";
        // A token too many does no harm.
        let answer = self.api.send(&Request::post(PATH).json(self.body.clone()).repeatable())?;
        let told = answer.json()?;
        let token = answer.header("x-subject-token").ok_or_else(|| self.api.lacks(PATH, "X-Subject-Token"))?;
        let expires = text(&told["token"], "expires_at").and_then(|date| seconds_since_1970(&date));
        if !told["token"]["catalog"].is_array() {
            let message = format!("{} has no catalogue for this account: is it in a project?", self.api.provider());
            return Err(Error::Credentials { message });
        }
        Ok(Token {
            token: token.to_owned(),
            expires: expires.ok_or_else(|| self.api.lacks(PATH, "expires_at"))?,
            extra: json!(catalog::of_v3(&told["token"]["catalog"])),
        })
    }
}
