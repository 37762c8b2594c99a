//! What the first word of a command inside an app means: a file of the app (of its `bin/` first), or a program in the PATH, which
//! begins with the virtual environment. As on a node.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::Platform;
use crate::error::{Failure, Kind};

/// The command line to run.
pub fn resolve(dir: &Path, words: &[String], platform: Platform) -> Result<Vec<String>, Failure> {
    let (program, arguments) = words.split_first().ok_or_else(|| Failure::new(Kind::Usage, "there is no command"))?;
    let of_app = [dir.join("bin").join(program), dir.join(program)];
    let Some(file) = of_app.into_iter().find(|file| !program.starts_with('/') && file.is_file()) else {
        return Ok(words.to_vec());
    };
    let path = file.to_string_lossy().into_owned();
    let start = start_of(&file, path, platform).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("{program} is not executable"))
            .hint(format!("chmod +x {}, or give it a name that ends with .py, .php or .sh", file.display()))
    })?;
    Ok(start.into_iter().chain(arguments.iter().cloned()).collect())
}

/// The file itself, or the interpreter its name asks for where it is not executable.
fn start_of(file: &Path, path: String, platform: Platform) -> Option<Vec<String>> {
    if std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o100 != 0) {
        return Some(vec![path]);
    }
    let interpreter = match file.extension().and_then(|ending| ending.to_str()) {
        Some("py") => "python3",
        Some("php") => "php",
        Some("sh") => "sh",
        _ if platform == Platform::Php => "php",
        _ => return None,
    };
    Some(vec![interpreter.to_owned(), path])
}
