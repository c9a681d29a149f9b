//! The thin edge: reads files and the environment, so that [`super::load`] need not.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::load::{ENV_PREFIX, Flag, Loaded, Sources, Text, load};
use super::origin::{ConfigError, Origin, Place};

/// What the command line and the environment say about where to look.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The configuration file; its drop-in directory is beside it, the same name with `.d` at the end.
    pub file: Option<PathBuf>,
    /// Flags that set keys.
    pub flags: Vec<Flag>,
}

/// Reads everything and makes the configuration.
///
/// # Errors
/// Everything that could not be read, or everything that is wrong in it.
pub fn read(wanted: Wanted) -> Result<Loaded, Vec<ConfigError>> {
    load(&sources(wanted, std::env::vars_os())?)
}

fn sources(wanted: Wanted, env: impl Iterator<Item = (OsString, OsString)>) -> Result<Sources, Vec<ConfigError>> {
    let mut sources = Sources { flags: wanted.flags, ..Sources::default() };
    let mut errors = Vec::new();
    if let Some(path) = &wanted.file {
        read_text(path).map_or_else(|error| errors.push(error), |text| sources.file = Some(text));
        for drop_in in drop_ins(path).unwrap_or_else(|error| refuse(&mut errors, error)) {
            read_text(&drop_in).map_or_else(|error| errors.push(error), |text| sources.drop_ins.push(text));
        }
    }
    for (name, value) in env.filter(|(name, _)| name.to_string_lossy().starts_with(ENV_PREFIX)) {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => sources.env.push((name, value)),
            (Ok(name), Err(_)) => errors.push(problem(Origin::Env(name), "is not UTF-8")),
            (Err(name), _) => errors.push(problem(Origin::Env(name.to_string_lossy().into()), "is not UTF-8")),
        }
    }
    if errors.is_empty() { Ok(sources) } else { Err(errors) }
}

fn refuse(errors: &mut Vec<ConfigError>, error: ConfigError) -> Vec<PathBuf> {
    errors.push(error);
    Vec::new()
}

/// The files of `FILE.d` that end in `.toml`; none when there is no such directory.
fn drop_ins(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut directory = file.as_os_str().to_owned();
    directory.push(".d");
    let directory = PathBuf::from(directory);
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&directory, &error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&directory, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_text(path: &Path) -> Result<Text, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Ok(Text { path: path.display().to_string(), text })
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let place = Place { path: path.display().to_string(), line: 1, column: 1 };
    problem(Origin::File(place), &format!("can't be read: {error}"))
}

fn problem(origin: Origin, problem: &str) -> ConfigError {
    ConfigError { origin, key: None, problem: problem.into(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("portolan-read-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("node.toml.d")).unwrap();
        path
    }

    #[test]
    fn the_file_and_its_drop_ins_are_read_and_nothing_else() {
        let root = scratch("all");
        let file = root.join("node.toml");
        std::fs::write(&file, "limits.page = 1").unwrap();
        std::fs::write(root.join("node.toml.d/b.toml"), "limits.page = 3").unwrap();
        std::fs::write(root.join("node.toml.d/a.toml"), "limits.page = 2").unwrap();
        std::fs::write(root.join("node.toml.d/z.toml.bak"), "limits.page = 9").unwrap();
        let env = [("PORTOLAN__LIMITS__UPLOADS".into(), "5".into()), ("OTHER".into(), "x".into())];
        let wanted = Wanted { file: Some(file), flags: Vec::new() };
        let read = sources(wanted, env.into_iter()).unwrap();
        assert_eq!((read.drop_ins.len(), read.env.len()), (2, 1));
        let config = load(&read).unwrap().config;
        assert_eq!((config.limits.page, config.limits.uploads), (3, 5));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let wanted = Wanted { file: Some("/nowhere/node.toml".into()), flags: Vec::new() };
        let errors = sources(wanted, std::iter::empty()).unwrap_err();
        assert!(errors[0].to_string().starts_with("/nowhere/node.toml:1:1: can't be read"), "{}", errors[0]);
    }
}
