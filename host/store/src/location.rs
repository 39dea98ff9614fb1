//! Where a store is: the URL or path that people write, and the service behind it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use secrecy::{ExposeSecret, SecretString};
use wharf_model::{ErrorKind, Fault, nearest};

/// Where a store is.
///
/// ```
/// use wharf_store::Location;
/// let parse = |text: &str| text.parse::<Location>();
/// assert_eq!(parse("data/store").unwrap(), Location::Folder("data/store".into()));
/// assert_eq!(parse("file:///srv/store").unwrap(), Location::Folder("/srv/store".into()));
/// assert_eq!(parse("s3://bucket/a/b").unwrap().to_string(), "s3://bucket/a/b");
/// assert_eq!(parse("memory://").unwrap(), Location::Memory);
/// assert!(parse("s3://").is_err());
/// assert!(parse("s4://bucket").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, or a part of one.
    Bucket {
        /// Whose it is.
        service: Service,
        /// Its name; a container's, where the service calls it so.
        bucket: String,
        /// The path in it, without slashes at its ends; may be empty.
        prefix: String,
    },
    /// The memory of this process.
    Memory,
}

/// A service that has buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3, and whoever speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Service {
    const ALL: [Self; 3] = [Self::S3, Self::Gcs, Self::Azure];

    const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }

    /// What its settings begin with, in the environment and in stacks.
    const fn settings_prefix(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Gcs => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }
}

/// A text that does not say where a store is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseLocationError {
    /// There is no such kind of store.
    #[error("`{0}://` is no kind of store{1}: write a folder, or s3://, gs:// or az://BUCKET/PATH")]
    Scheme(String, String),
    /// The bucket is missing.
    #[error("`{0}` names no bucket: write {0}BUCKET/PATH")]
    NoBucket(String),
    /// It is empty.
    #[error("the store has no place: write a folder, or s3://, gs:// or az://BUCKET/PATH")]
    Empty,
}

impl FromStr for Location {
    type Err = ParseLocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let folder = text.strip_prefix("file:").unwrap_or(text);
            return match folder.is_empty() {
                false => Ok(Self::Folder(folder.into())),
                true => Err(ParseLocationError::Empty),
            };
        };
        match scheme {
            "file" if rest.is_empty() => return Err(ParseLocationError::Empty),
            "file" => return Ok(Self::Folder(rest.into())),
            "memory" => return Ok(Self::Memory),
            _ => {}
        }
        let service = Service::ALL
            .into_iter()
            .find(|service| service.scheme() == scheme);
        let service = service.ok_or_else(|| unknown_scheme(scheme))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        match bucket.is_empty() {
            true => Err(ParseLocationError::NoBucket(format!("{scheme}://"))),
            false => Ok(Self::Bucket {
                service,
                bucket: bucket.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
            }),
        }
    }
}

fn unknown_scheme(scheme: &str) -> ParseLocationError {
    let meant = match scheme {
        "gcs" => Some("gs"),
        "azure" | "abfs" | "abfss" | "wasb" => Some("az"),
        "s3a" | "s3n" => Some("s3"),
        _ => nearest(scheme, ["s3", "gs", "az", "file", "memory"]),
    };
    let meant = meant.map_or(String::new(), |meant| {
        format!(" (did you mean `{meant}://`?)")
    });
    ParseLocationError::Scheme(scheme.to_owned(), meant)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Memory => f.write_str("memory://"),
            Self::Bucket {
                service,
                bucket,
                prefix,
            } => {
                let slash = if prefix.is_empty() { "" } else { "/" };
                write!(f, "{}://{bucket}{slash}{prefix}", service.scheme())
            }
        }
    }
}

/// Settings of a service, by the names that its own tools use in the environment:
/// `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME`.
pub type Settings = BTreeMap<String, SecretString>;

/// How long a request is tried again and again before it has failed.
pub(crate) const RETRY_WITHIN: Duration = Duration::from_secs(60);
/// How often it is tried again at most.
const RETRIES: usize = 8;
/// How long one request may take: a part of 16 MiB on a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to reach the service.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: RETRY_WITHIN,
    }
}

fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_user_agent(http::HeaderValue::from_static("wharf"))
}

/// The settings of a service that object_store knows; the others belong to
/// somebody else.
fn known<Key: FromStr>(service: Service, settings: &Settings) -> Vec<(Key, String)> {
    let of_service = settings
        .iter()
        .filter(|(name, _)| name.starts_with(service.settings_prefix()));
    let known = of_service.filter_map(|(name, value)| {
        let key = name.to_ascii_lowercase().parse().ok()?;
        Some((key, value.expose_secret().to_owned()))
    });
    known.collect()
}

/// Connects to a bucket. Talks to nobody yet.
pub(crate) fn connect(
    service: Service,
    bucket: &str,
    settings: &Settings,
) -> Result<Arc<dyn ObjectStore>, Fault> {
    let connected = match service {
        Service::S3 => s3(bucket, settings),
        Service::Gcs => gcs(bucket, settings),
        Service::Azure => azure(bucket, settings),
    };
    connected.map_err(|error| {
        let (scheme, prefix) = (service.scheme(), service.settings_prefix());
        let message = format!("cannot use the store {scheme}://{bucket}: {error}");
        Fault::new(ErrorKind::CommandLine, message)
            .hint(format!("check the settings that begin with {prefix}"))
    })
}

type Connected = Result<Arc<dyn ObjectStore>, object_store::Error>;

fn s3(bucket: &str, settings: &Settings) -> Connected {
    let known: Vec<(AmazonS3ConfigKey, String)> = known(Service::S3, settings);
    let plain = has_plain_endpoint(known.iter().map(|(_, value)| &**value));
    let builder = AmazonS3Builder::new()
        .with_unsigned_payload(!signs_bodies(&known))
        .with_client_options(client().with_allow_http(plain))
        .with_retry(retries())
        // Damaged on the way, an upload is refused.
        .with_checksum_algorithm(Checksum::SHA256);
    let configure = |builder: AmazonS3Builder, (key, value)| builder.with_config(key, value);
    let builder = known.into_iter().fold(builder, configure);
    // Last: a setting may name a bucket, and the URL says which one is meant.
    Ok(Arc::new(builder.with_bucket_name(bucket).build()?))
}

/// Whether what is sent to S3 is signed as a whole, and not its checksum alone. Where TLS
/// guards it, that would only make the service hash it twice.
fn signs_bodies(settings: &[(AmazonS3ConfigKey, String)]) -> bool {
    let unguarded = |(key, value): &(AmazonS3ConfigKey, String)| match key {
        AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint => value.starts_with("http://"),
        AmazonS3ConfigKey::Client(ClientConfigKey::AllowInvalidCertificates) => {
            let no = ["0", "false", "off", "no", "n"];
            !no.contains(&&*value.to_ascii_lowercase())
        }
        _ => false,
    };
    settings.iter().any(unguarded)
}

fn gcs(bucket: &str, settings: &Settings) -> Connected {
    let known: Vec<(GoogleConfigKey, String)> = known(Service::Gcs, settings);
    let plain = known.iter().any(|(_, value)| value.contains("\"http://"));
    let builder = GoogleCloudStorageBuilder::new()
        .with_client_options(client().with_allow_http(plain))
        .with_retry(retries());
    let configure =
        |builder: GoogleCloudStorageBuilder, (key, value)| builder.with_config(key, value);
    let builder = known.into_iter().fold(builder, configure);
    // Last, as of S3.
    Ok(Arc::new(builder.with_bucket_name(bucket).build()?))
}

fn azure(container: &str, settings: &Settings) -> Connected {
    let known: Vec<(AzureConfigKey, String)> = known(Service::Azure, settings);
    let plain = has_plain_endpoint(known.iter().map(|(_, value)| &**value));
    let builder = MicrosoftAzureBuilder::new()
        .with_client_options(client().with_allow_http(plain))
        .with_retry(retries());
    let configure = |builder: MicrosoftAzureBuilder, (key, value)| builder.with_config(key, value);
    let builder = known.into_iter().fold(builder, configure);
    // Last, as of S3.
    Ok(Arc::new(builder.with_container_name(container).build()?))
}

/// Who names an endpoint without TLS means it.
fn has_plain_endpoint<'a>(mut values: impl Iterator<Item = &'a str>) -> bool {
    values.any(|value| value.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_guards_is_not_signed_as_a_whole() {
        let signs = |settings: &[(&str, &str)]| {
            let settings = settings.iter();
            let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).into()));
            signs_bodies(&known(Service::S3, &settings.collect()))
        };
        assert!(!signs(&[]));
        assert!(!signs(&[("AWS_ENDPOINT_URL", "https://minio.example")]));
        assert!(!signs(&[
            ("AWS_ALLOW_INVALID_CERTIFICATES", "False"),
            ("AWS_METADATA_ENDPOINT", "http://169.254.169.254"),
        ]));
        for unguarded in [
            ("AWS_ENDPOINT_URL", "http://minio.example"),
            ("AWS_ENDPOINT_URL_S3", "http://minio.example"),
            ("AWS_ALLOW_INVALID_CERTIFICATES", "yes"),
        ] {
            assert!(signs(&[unguarded]), "{unguarded:?}");
        }
    }

    /// An upload has its checksum beside it, and the checksum is signed.
    #[tokio::test]
    async fn checksums_are_signed() {
        use object_store::ObjectStoreExt;
        use std::io::{Read, Write};
        let service = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", service.local_addr().unwrap());
        let settings = [
            ("AWS_ENDPOINT_URL", &*endpoint),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_UNSIGNED_PAYLOAD", "true"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.into()));
        let store = connect(Service::S3, "bucket", &settings.into_iter().collect()).unwrap();
        let request = std::thread::spawn(move || {
            let (mut client, _) = service.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"what is sent") {
                let mut bytes = [0; 4096];
                let read = client.read(&mut bytes).unwrap();
                request.extend_from_slice(&bytes[..read]);
            }
            client
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"1\"\r\n\r\n")
                .unwrap();
            String::from_utf8(request).unwrap().to_ascii_lowercase()
        });
        let sent = store.put(&"object".into(), "what is sent".into()).await;
        sent.unwrap();
        let request = request.join().unwrap();
        let header = |name: &str| {
            let mut lines = request.lines();
            lines.find_map(|line| line.strip_prefix(&format!("{name}: ")))
        };
        assert_eq!(header("x-amz-content-sha256"), Some("unsigned-payload"));
        assert!(header("x-amz-checksum-sha256").is_some(), "{request}");
        let signed = header("authorization").unwrap();
        assert!(signed.contains("x-amz-checksum-sha256"), "{signed}");
    }

    #[test]
    fn what_was_meant_is_named() {
        let error = "gcs://bucket".parse::<Location>().unwrap_err();
        assert!(
            error.to_string().contains("did you mean `gs://`?"),
            "{error}"
        );
        assert!("".parse::<Location>().is_err());
        assert!("file://".parse::<Location>().is_err());
    }

    #[test]
    fn every_service_connects_with_its_settings() {
        let settings: Settings = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_PROFILE", "not a setting of a store"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", r#"{"gcs_base_url": "http://127.0.0.1:1", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
        for service in Service::ALL {
            assert!(connect(service, "bucket", &settings).is_ok(), "{service:?}");
        }
    }

    /// They may be there for another program.
    #[test]
    fn a_setting_that_names_a_bucket_changes_nothing() {
        let settings: Settings = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_BUCKET", "other"),
            ("AWS_BUCKET_NAME", "other"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
            ("AZURE_CONTAINER_NAME", "other"),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", r#"{"gcs_base_url": "http://127.0.0.1:1", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#),
            ("GOOGLE_BUCKET", "other"),
            ("GOOGLE_BUCKET_NAME", "other"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
        for service in Service::ALL {
            let store = connect(service, "meant", &settings).unwrap().to_string();
            assert!(store.contains("meant"), "{store}");
            assert!(!store.contains("other"), "{store}");
        }
    }

    #[test]
    fn settings_are_not_shown() {
        let settings = Settings::from([("AWS_SECRET_ACCESS_KEY".to_owned(), "hush".into())]);
        assert!(!format!("{settings:?}").contains("hush"));
        let missing = connect(Service::Azure, "bucket", &settings).unwrap_err();
        assert!(missing.to_string().contains("az://bucket"), "{missing}");
        assert!(!missing.to_string().contains("hush"));
    }
}
