//! The virtual environment of an app: built when its requirements change, below the user's cache directory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::Told;
use super::place::Place;
use super::toolbox::{self, Toolbox};
use crate::error::{Failure, Kind};

/// The interpreter that a developer means.
const PYTHON: &str = "python3";

/// The interpreter itself: what is called `python3` may be a script that looks for it each time.
pub fn interpreter(place: &Place, venv: Option<&str>) -> Result<String, Failure> {
    if let Some(venv) = venv {
        return Ok(format!("{venv}/bin/python3"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(PYTHON)).find(|file| file.is_file());
    if let Some(found) = found
        && !is_script(&found)
        && let Some(found) = found.to_str()
    {
        return Ok(found.to_owned());
    }
    let mut command = Command::new(PYTHON);
    command.args(["-c", "import sys; print(sys.executable)"]).current_dir(&place.dir).stdin(Stdio::null());
    let output = command.output().map_err(|error| cannot(&error))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn is_script(file: &Path) -> bool {
    let mut first = [0; 2];
    File::open(file).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *b"#!"
}

fn cannot(error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("{PYTHON} cannot be run: {error}"))
        .hint("install Python 3, with its venv module")
}

/// Where it is; none where `file` asks for nothing.
pub fn ensure(place: &Place, toolbox: &Toolbox, file: &str, told: &Arc<dyn Told>) -> Result<Option<String>, Failure> {
    let mut command = Command::new(PYTHON);
    command.arg(toolbox.develop("requirements.py")).arg(&place.dir).arg(file).arg(toolbox::venvs()?);
    command.current_dir(&place.dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot(&error))?;
    let mut lines = Vec::new();
    // What pip says while it takes its time.
    for line in child.stderr.take().into_iter().flat_map(|errors| BufReader::new(errors).lines()).map_while(Result::ok)
    {
        told.output(format!("{line}\n").as_bytes());
        lines.push(line);
    }
    let output = child.wait_with_output().map_err(|error| cannot(&error))?;
    if output.status.success() {
        let venv = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        return Ok(Some(venv).filter(|venv| !venv.is_empty()));
    }
    let message = lines.pop().unwrap_or_else(|| format!("the requirements in {file} could not be installed"));
    Err(Failure::new(Kind::Failed, message).details(lines.split_off(lines.len().saturating_sub(20))))
}
