//! A certificate for the start, signed by itself.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::certificates::CertificateError;

/// For how many years it is valid.
const YEARS: i32 = 10;

/// Names in one certificate; what is beyond them is left out.
const MAX_NAMES: usize = 100;

/// Where it and its key are kept.
pub(super) fn files(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("self-signed.pem"), dir.join("self-signed.key"))
}

/// Makes a certificate for these domains and addresses and writes it and its key.
///
/// # Errors
/// [`CertificateError`] for names that no certificate can have, and for files that cannot be written.
pub(super) fn make(dir: &Path, names: &[String]) -> Result<(), CertificateError> {
    let (certificate, key) = files(dir);
    let error = |why: String| CertificateError::new("new certificate", &certificate, why);
    let names: Vec<String> = names.iter().take(MAX_NAMES).cloned().collect();
    let first = names.first().cloned().unwrap_or_else(|| "sori".to_owned());
    let mut params = CertificateParams::new(names).map_err(|e| error(e.to_string()))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, first);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let year = this_year();
    // Clocks of telephones are wrong by hours, not by a year.
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + YEARS, 1, 1);
    let pair = KeyPair::generate().map_err(|e| error(e.to_string()))?;
    let made = params
        .self_signed(&pair)
        .map_err(|e| error(e.to_string()))?;
    // The old certificate without its key would be worse than none.
    let _ = fs::remove_file(&certificate);
    write_private(&key, &pair.serialize_pem())
        .map_err(|e| CertificateError::new("new key", &key, e))?;
    fs::write(&certificate, made.pem()).map_err(|e| error(e.to_string()))
}

fn this_year() -> i32 {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    // An average year is near enough.
    1970 + i32::try_from(seconds / 31_556_952).unwrap_or(0)
}

/// Writes a file that only its owner may read.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(file)?.write_all(text.as_bytes())
}
