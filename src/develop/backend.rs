//! The process that answers what no file does: started, and waited for until it listens.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::child::{Child, describe};
use super::files::Roots;
use super::{Ready, Workshop};
use crate::config::{AppConfig, Platform, Runner};
use crate::error::{Failure, Kind};
use crate::node::Services;

const LOOK: Duration = Duration::from_millis(4);
/// As a slot's Apache has it: PHP's own limits refuse what any telephone takes a picture of.
const PHP_SETTINGS: [&str; 7] = [
    // It would not see a change for two seconds.
    "opcache.enable=0",
    "log_errors=1",
    "display_errors=0",
    "html_errors=0",
    "expose_php=0",
    "upload_max_filesize=64M",
    "post_max_size=66M",
];

/// What each process of PHP's server says when it starts.
const PHP_NOISE: &str = "Development Server (http://";

/// A process of the app. Dropping it ends it.
pub struct Backend {
    pub port: u16,
    child: Child,
    called: String,
    /// It says whether the app could be loaded.
    tells: bool,
}

/// What came of waiting.
pub enum Waited {
    Serves,
    /// It listens, and answers with what is wrong with the app.
    Complains,
    /// Something else has happened meanwhile.
    Interrupted,
}

impl Backend {
    /// Starts what answers for the app; none where files are all there is.
    pub fn start(workshop: &Workshop, ready: &Ready) -> Result<Option<Self>, Failure> {
        let settings = &ready.config.settings;
        let port = free_port()?;
        let mut variables = ready.variables.clone();
        variables.insert("CLOUDTOOL_PORT".to_owned(), port.to_string());
        // What it prints is shown when it prints it.
        variables.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
        let script = |name: &str| workshop.toolbox.develop(name).to_string_lossy().into_owned();
        let words = match (&settings.runner, &ready.python) {
            (Some(Runner::Command { words }), _) => {
                variables.insert("PORT".to_owned(), port.to_string());
                words.iter().map(|word| with_port(word, port)).collect::<Vec<_>>()
            }
            (_, Some(python)) => vec![python.clone(), script("serve.py")],
            _ if settings.platform == Platform::Php => {
                // Each request holds a process of PHP's server.
                variables.insert("PHP_CLI_SERVER_WORKERS".to_owned(), settings.threads.max(2).to_string());
                let mut words = vec!["php".to_owned()];
                words.extend(PHP_SETTINGS.iter().flat_map(|setting| ["-d".to_owned(), (*setting).to_owned()]));
                words.extend(["-q".to_owned(), "-S".to_owned(), format!("127.0.0.1:{port}"), script("router.php")]);
                words
            }
            _ => return Ok(None),
        };
        let called = words.first().cloned().unwrap_or_default();
        let child =
            Child::start(&workshop.toolbox, &words, workshop.dir(), &variables, Some(PHP_NOISE), &workshop.told)?;
        Ok(Some(Backend { port, child, called, tells: ready.python.is_some() }))
    }

    /// Until it listens; `interrupted` is asked now and then.
    pub fn wait(&mut self, mut interrupted: impl FnMut() -> bool) -> Result<Waited, Failure> {
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let complains = self.tells && !is_loaded(stream).unwrap_or(true);
                return Ok(if complains { Waited::Complains } else { Waited::Serves });
            }
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if interrupted() {
                return Ok(Waited::Interrupted);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Why it ended, if it has.
    pub fn failure(&mut self) -> Option<Failure> {
        let status = self.child.ended()?;
        let missing = status.code() == Some(127);
        let message = if missing {
            format!("{} is not on this machine", self.called)
        } else {
            format!("{} has ended with {}", self.called, describe(status))
        };
        let hint = match self.called.as_str() {
            "php" if missing => "apt install php-cli, or what brings PHP on this system".to_owned(),
            _ => "save a file of the app, and it is started again".to_owned(),
        };
        Some(Failure::new(Kind::Failed, message).hint(hint).details(self.child.last_words()))
    }
}

fn is_loaded(mut stream: TcpStream) -> io::Result<bool> {
    stream.write_all(b"GET / HTTP/1.0\r\nX-Cloudtool-Ready: 1\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains(" 204 "))
}

/// Where the files of an app are.
pub fn roots(workshop: &Workshop, ready: &Ready) -> Roots {
    let settings = &ready.config.settings;
    let is_command = matches!(settings.runner, Some(Runner::Command { .. }));
    let is_php = settings.platform == Platform::Php && !is_command;
    Roots {
        app: workshop.dir().to_owned(),
        writable: ready.variables.get("CONFIG_WRITABLE_ROOT").map(Into::into),
        php: settings.php_root.clone().filter(|_| is_php),
        is_php,
        runner: settings.runner.as_ref().filter(|_| is_php).and_then(|runner| runner.file().map(str::to_owned)),
        has_app: settings.runner.is_some() && !is_php,
    }
}

/// How a module may come that is not found: a node has packages that this machine may lack.
pub fn advice(config: &AppConfig, services: &Services) -> Option<String> {
    let asked: Vec<String> = config.settings.services.iter().map(|service| service.name.clone()).collect();
    let of_services = services.with_required(&asked).into_iter().flat_map(|name| services.packages(&name, "python"));
    let packages: Vec<String> = config.settings.packages.iter().cloned().chain(of_services).collect();
    let listed = match &config.settings.requirements {
        Some(file) => format!("If it is not the app's own, add it to {file}."),
        None => "If it is not the app's own, list it in a file that app.ini names as requirements.".to_owned(),
    };
    Some(if packages.is_empty() {
        listed
    } else {
        format!("{listed} On a node these packages may bring it, for /usr/bin/python3: {}.", packages.join(", "))
    })
}

/// `$PORT` and `${PORT}` as `runtime/launch.py` replaces them.
fn with_port(word: &str, port: u16) -> String {
    let (mut out, mut rest) = (String::new(), word);
    while let Some(at) = rest.find("$") {
        out += &rest[..at];
        rest = &rest[at..];
        let after = rest.strip_prefix("${PORT}").or_else(|| {
            let after = rest.strip_prefix("$PORT")?;
            let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            (!goes_on).then_some(after)
        });
        match after {
            Some(after) => {
                out += &port.to_string();
                rest = after;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn free_port() -> Result<u16, Failure> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|error| Failure::new(Kind::Failed, format!("no port of the loopback can be had: {error}")))
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn the_port_is_put_where_a_node_puts_it() {
        for (word, expected) in
            [("$PORT", "80"), ("0:${PORT}", "0:80"), ("$PORTS", "$PORTS"), ("$PORT,$X$PORT", "80,$X80"), ("$", "$")]
        {
            assert_eq!(with_port(word, 80), expected);
        }
    }
}
