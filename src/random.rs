//! Randomness from the operating system, for what must not be guessed. Never called while a command is applied.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};

/// Random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    Ok(bytes)
}

/// A secret of 256 bits that fits into a link.
pub fn token() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>()?))
}

/// Six decimal digits, each as likely as the others.
pub fn six_digits() -> Result<String> {
    loop {
        let number = u32::from_le_bytes(bytes()?);
        // The last, incomplete million would make small numbers likelier.
        if number < u32::MAX - u32::MAX % 1_000_000 {
            return Ok(format!("{:06}", number % 1_000_000));
        }
    }
}
