//! Files of the aws CLI: `credentials` and `config` (AWS CLI User Guide, "Configuration and credential file settings").

use std::path::{Path, PathBuf};

use super::failed::Failed;

/// What is read of a profile.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Profile {
    /// The access key id and its secret.
    pub key: Option<(String, String)>,
    /// The session token of temporary credentials.
    pub token: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The endpoint of all services.
    pub endpoint: Option<String>,
}

/// Ways to credentials that are not followed.
const ELSEWHERE: &[&str] =
    &["role_arn", "source_profile", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file"];

fn file(variable: &str, name: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".aws").join(name);
    std::env::var_os(variable).filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from)
}

fn text(path: &Path) -> Result<String, Failed> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failed::Usage(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// The settings of a section. Indented lines belong to the setting before, and are nothing that is asked for here.
fn section<'a>(text: &'a str, wanted: &[&str]) -> Option<Vec<(&'a str, &'a str)>> {
    let (mut found, mut inside) = (None, false);
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            inside = wanted.contains(&name.as_str());
            if inside {
                found.get_or_insert_with(Vec::new);
            }
            continue;
        }
        let is_setting = !line.starts_with([' ', '\t', '#', ';']);
        if let (true, true, Some((name, value))) = (inside, is_setting, trimmed.split_once('=')) {
            found.get_or_insert_with(Vec::new).push((name.trim(), value.trim()));
        }
    }
    found
}

fn read(name: &str, credentials: &str, config: &str) -> Result<Option<Profile>, Failed> {
    let in_config = format!("profile {name}");
    let in_config: &[&str] = if name == "default" { &["default", "profile default"] } else { &[&in_config] };
    let (secret, plain) = (section(credentials, &[name]), section(config, in_config));
    if secret.is_none() && plain.is_none() {
        return Ok(None);
    }
    let all: Vec<_> = secret.into_iter().flatten().chain(plain.into_iter().flatten()).collect();
    let value = |wanted: &str| {
        all.iter().find(|(name, value)| *name == wanted && !value.is_empty()).map(|(_, value)| (*value).to_owned())
    };
    let key = value("aws_access_key_id").zip(value("aws_secret_access_key"));
    if key.is_none()
        && let Some(way) = ELSEWHERE.iter().find(|way| value(way).is_some())
    {
        return Err(Failed::Usage(format!(
            "the profile {name} comes to its credentials by {way}, which is not followed here. `eval \"$(aws configure export-credentials \
             --profile {name} --format env)\"` puts them into the environment"
        )));
    }
    Ok(Some(Profile {
        key,
        token: value("aws_session_token"),
        region: value("region"),
        endpoint: value("endpoint_url"),
    }))
}

/// The profile of a name; `None` where no file has it.
pub fn load(name: &str) -> Result<Option<Profile>, Failed> {
    let credentials = text(&file("AWS_SHARED_CREDENTIALS_FILE", "credentials"))?;
    let config = text(&file("AWS_CONFIG_FILE", "config"))?;
    read(name, &credentials, &config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "\
[default]
aws_access_key_id = AKIDEFAULT
aws_secret_access_key = s=/+
# aws_session_token = no

[ other ]
aws_access_key_id=AKIOTHER
aws_secret_access_key=secret
aws_session_token=token
";
    const CONFIG: &str = "\
[default]
region = eu-west-1
s3 =
    endpoint_url = http://nested
[profile other]
endpoint_url = http://lake:9000
[profile role]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = default
";

    #[test]
    fn profiles_of_both_files() {
        let some = |text: &str| Some(text.to_owned());
        let key = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        let expected =
            Profile { key: key("AKIDEFAULT", "s=/+"), token: None, region: some("eu-west-1"), endpoint: None };
        assert_eq!(read("default", CREDENTIALS, CONFIG), Ok(Some(expected)));
        let expected = Profile {
            key: key("AKIOTHER", "secret"),
            token: some("token"),
            region: None,
            endpoint: some("http://lake:9000"),
        };
        assert_eq!(read("other", CREDENTIALS, CONFIG), Ok(Some(expected)));
        assert_eq!(read("none", CREDENTIALS, CONFIG), Ok(None));
        assert!(read("role", CREDENTIALS, CONFIG).unwrap_err().to_string().contains("role_arn"));
    }
}
