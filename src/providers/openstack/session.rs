//! One login for all services of a cloud: the token, kept until it runs out, and the catalogue that came with it.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::error::Result;
use super::super::http::{Authorize, Drawer, Token, set_secret_header};

/// Trades credentials for a token.
pub trait LogIn: Send + Sync {
    /// The token, with the catalogue as its `extra`.
    fn log_in(&self) -> Result<Token>;
}

/// A token that is got when it is first needed, and shared by all services.
pub struct Session {
    log_in: Box<dyn LogIn>,
    drawer: Drawer,
    token: Mutex<Option<Token>>,
}

impl Session {
    /// `drawer` keeps the token for the next run.
    pub fn new(log_in: impl LogIn + 'static, drawer: Drawer) -> Arc<Self> {
        Arc::new(Session { log_in: Box::new(log_in), drawer, token: Mutex::new(None) })
    }

    /// The token in use, else the kept one, else a new one. Those who ask meanwhile wait for the one login.
    ///
    /// Errors: of the login.
    pub fn token(&self) -> Result<Token> {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*held {
            return Ok(token.clone());
        }
        let token = match self.drawer.get() {
            Some(kept) => kept,
            None => {
                let fresh = self.log_in.log_in()?;
                self.drawer.put(&fresh);
                fresh
            }
        };
        Ok(held.insert(token).clone())
    }

    fn forget(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.drawer.forget();
    }
}

/// Shows a session's token to a service.
pub struct ByToken(pub Arc<Session>);

impl Authorize for ByToken {
    fn authorize(&self, request: &mut reqwest::blocking::Request) -> Result<()> {
        set_secret_header(request, "x-auth-token", &self.0.token()?.token)
    }

    fn renew(&self) -> bool {
        self.0.forget();
        true
    }
}
