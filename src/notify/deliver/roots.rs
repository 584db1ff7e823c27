//! Whom TLS trusts: the authorities of this machine, else those that browsers know.
//!
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` name others, as for OpenSSL; where they are set and lead to
//! none, nobody is trusted. An image without any (`scratch`) has those that are built in. A route may name
//! a file with others (`ca_file`), of a network that is nobody else's business: they are trusted beside
//! those of the machine.

#[cfg(feature = "tls")]
use std::path::Path;

#[cfg(feature = "tls")]
use crate::notify::secret::{Access, Machine};

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) enum Roots {
    /// These.
    #[cfg(feature = "tls")]
    These(Vec<rustls::pki_types::CertificateDer<'static>>),
    /// Those that browsers know.
    BuiltIn,
}

#[cfg(not(feature = "tls"))]
impl Roots {
    /// Nobody asks for them.
    pub(super) fn of_machine() -> Result<Roots, String> {
        Ok(Roots::BuiltIn)
    }

    /// Nor for these.
    pub(super) fn with(self, _: &str) -> Result<Roots, String> {
        Ok(self)
    }
}

#[cfg(feature = "tls")]
impl Roots {
    /// Reads them. The error says why there are none.
    pub(super) fn of_machine() -> Result<Roots, String> {
        // Rustls finds it where it does not ask us.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
            .into_iter()
            .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        let found = rustls_native_certs::load_native_certs();
        match (found.certs.is_empty(), named) {
            (false, _) => Ok(Roots::These(found.certs)),
            (true, None) => Ok(Roots::BuiltIn),
            (true, Some(name)) => Err(format!("{name} leads to no certificate")),
        }
    }

    /// Those and what is in a file, as PEM. The error says what is wrong with that.
    pub(super) fn with(self, path: &str) -> Result<Roots, String> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;

        let cannot = |why: &str| format!("ca_file: the file {path} {why}");
        let bytes = Machine.file(Path::new(path)).map_err(|why| cannot(&why))?;
        let read: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(&bytes).collect();
        let mut all = read.map_err(|_| cannot("holds what is no certificate in PEM"))?;
        if all.is_empty() {
            return Err(cannot("holds no certificate in PEM"));
        }
        if let Roots::These(machine) = self {
            all.extend(machine);
        }
        Ok(Roots::These(all))
    }
}
