//! The virtual environment of an app: built when its requirements change, below the user's cache directory.

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
    let mut command = Command::new(PYTHON);
    command.args(["-c", "import sys; print(sys.executable)"]).current_dir(&place.dir).stdin(Stdio::null());
    let output = command.output().map_err(|error| cannot(&error))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
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
    let child = command.spawn().map_err(|error| cannot(&error))?;
    let output = child.wait_with_output().map_err(|error| cannot(&error))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !said.is_empty() {
        told.step(&format!("installed what {file} says"));
    }
    if output.status.success() {
        let venv = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        return Ok(Some(venv).filter(|venv| !venv.is_empty()));
    }
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    let message = lines.pop().unwrap_or_else(|| format!("the requirements in {file} could not be installed"));
    Err(Failure::new(Kind::Failed, message).details(lines.split_off(lines.len().saturating_sub(20))))
}
