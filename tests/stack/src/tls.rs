//! A certificate authority and a server certificate for 127.0.0.1, made by the openssl command.
//!
//! Owns: the files of one such pair.
//! Does not own: which options a server takes them by.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::files::make_open_folder;

/// PEM files in one folder. The certificate names `127.0.0.1` and `localhost`, and is signed by the authority.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`. RSA of 2048 bits: MySQL 8.0.15 comes with OpenSSL 1.0.2.
    pub fn make(folder: &Path) -> anyhow::Result<Certificates> {
        make_open_folder(folder)?;
        let made = Certificates { folder: folder.to_path_buf() };
        let names = folder.join("names.cnf");
        std::fs::write(&names, "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
            .context("write the certificate's names")?;
        let authority_key = folder.join("ca-key.pem");
        let request = folder.join("request.pem");
        openssl(
            [
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "3650",
                "-subj",
                "/CN=limpid test authority",
                "-keyout",
            ],
            [authority_key.as_os_str(), "-out".as_ref(), made.ca().as_os_str()],
        )?;
        openssl(
            ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout"],
            [made.key().as_os_str(), "-out".as_ref(), request.as_os_str()],
        )?;
        openssl(
            ["x509", "-req", "-days", "3650", "-set_serial", "2", "-in"],
            [
                request.as_os_str(),
                "-CA".as_ref(),
                made.ca().as_os_str(),
                "-CAkey".as_ref(),
                authority_key.as_os_str(),
                "-extfile".as_ref(),
                names.as_os_str(),
                "-out".as_ref(),
                made.cert().as_os_str(),
            ],
        )?;
        Ok(made)
    }

    /// The authority's certificate: what a client must trust.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The server's certificate.
    pub fn cert(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The server's private key (PKCS #8, without a password).
    pub fn key(&self) -> PathBuf {
        self.folder.join("server-key.pem")
    }

    /// Key and certificate in one file, where a server wants them so.
    pub(crate) fn keystore(&self) -> PathBuf {
        self.folder.join("keystore.pem")
    }
}

fn openssl<const N: usize, const M: usize>(fixed: [&str; N], files: [&OsStr; M]) -> anyhow::Result<()> {
    let output = Command::new("openssl").args(fixed).args(files).output().context("run openssl")?;
    ensure!(
        output.status.success(),
        "openssl {} ended with {}: {}",
        fixed.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
