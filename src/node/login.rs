//! The first login to a server: images differ in whom they let in.

use std::ops::ControlFlow;

use super::error::Error;
use super::session::Session;
use super::{Destination, HostKeys};

/// Whom the images of clouds let in where it is not root; each may use sudo.
const USERS: [&str; 4] = ["ubuntu", "debian", "admin", "ec2-user"];

/// Opens a session as the destination's user; where that is root and root is not let in, or only to be told who is, as one of the users
/// that images have instead. The session's own destination says who it was.
///
/// Errors: as [`Session::open`]; a refusal is root's, and names the others.
pub fn log_in(destination: &Destination, host_keys: &HostKeys) -> Result<Session, Error> {
    let (told, refused) = match Session::open(destination, host_keys) {
        Ok(session) if destination.user != "root" => return Ok(session),
        Ok(mut session) => match user_instead_of_root(&mut session)? {
            None => return Ok(session),
            Some(user) => (Some(user), None),
        },
        Err(error @ Error::AuthenticationRefused { .. }) if destination.user == "root" => (None, Some(error)),
        Err(error) => return Err(error),
    };
    let mut last = None;
    for user in told.as_deref().into_iter().chain(USERS) {
        match Session::open(&Destination { user: user.to_owned(), ..destination.clone() }, host_keys) {
            Err(error @ Error::AuthenticationRefused { .. }) => last = Some(error),
            opened => return opened,
        }
    }
    Err(match refused.or(last) {
        Some(Error::AuthenticationRefused { node, user, offered }) => Error::AuthenticationRefused {
            node,
            user,
            offered: format!("{offered}; nor was {} let in", USERS.join(", ")),
        },
        // There was at least one user, so there is a refusal.
        Some(error) => error,
        None => super::session::lost(destination, "nobody is let in"),
    })
}

/// Images that have no login for root often let it in for a sentence: `Please login as the user "ubuntu" rather than ...`.
fn user_instead_of_root(session: &mut Session) -> Result<Option<String>, Error> {
    let mut words = String::new();
    let mut user = None;
    session.run("id -u", b"", &mut |_, piece| {
        words.push_str(&String::from_utf8_lossy(piece));
        user = named_user(&words);
        // The sentence is followed by a pause of ten seconds.
        if user.is_some() || words.len() > 4096 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(user)
}

/// The user that such a sentence names.
fn named_user(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("login as the user \"")?;
    let (user, _) = rest.split_once('"')?;
    let is_name = !user.is_empty()
        && user.len() <= 32
        && user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && user.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    is_name.then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_that_is_named_is_found() {
        let sentence = "Please login as the user \"ubuntu\" rather than the user \"root\".\n\n";
        assert_eq!(named_user(sentence).as_deref(), Some("ubuntu"));
        for nothing in ["0\n", "Please login as the user \"ub", "Please login as the user \"-oProxyCommand=x\" rather"]
        {
            assert_eq!(named_user(nothing), None);
        }
    }
}
