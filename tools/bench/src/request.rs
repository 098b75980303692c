// SPDX-License-Identifier: GPL-2.0

//! Control data on a connection: the client's request before the stream, and the server's verdict
//! after it.

use anyhow::Result;
use anyhow::ensure;

/// Which side ends the connection, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Finish {
    /// The client closes.
    #[default]
    Close,
    /// The client shuts down its sending side after sending everything, and continues to receive.
    Shutdown,
    /// The client closes with a reset (`SO_LINGER` 0).
    Reset,
    /// The client disconnects its socket (`connect` to `AF_UNSPEC`), which resets the connection.
    Disconnect,
    /// The server closes first.
    Server,
}

/// Request of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Seed of the upload. The seed of the download is its complement.
    pub seed: u64,
    /// Bytes from client to server.
    pub upload: u64,
    /// Bytes from server to client.
    pub download: u64,
    /// Rate limit in bytes per second, 0 for no limit. The server follows the upload, if any.
    pub rate: u64,
    /// Maximum size of a send by the server.
    pub chunk: u32,
    /// The server sends one byte in the middle as urgent data.
    pub urgent: bool,
    /// The server closes first.
    pub server_closes: bool,
}

const MAGIC: &[u8; 8] = b"toe-strm";

impl Request {
    /// Encoded size in bytes.
    pub const SIZE: usize = 48;

    /// Encodes the request.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.seed.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.upload.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.download.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.rate.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.chunk.to_le_bytes());
        bytes[44] = self.urgent.into();
        bytes[45] = self.server_closes.into();
        bytes
    }

    /// Decodes a request.
    ///
    /// # Errors
    ///
    /// If `bytes` is not a request.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Result<Self> {
        ensure!(bytes.starts_with(MAGIC), "invalid request from client");
        let u64_at = |at: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(raw)
        };
        let request = Self {
            seed: u64_at(8),
            upload: u64_at(16),
            download: u64_at(24),
            rate: u64_at(32),
            chunk: u32::from_le_bytes([bytes[40], bytes[41], bytes[42], bytes[43]]),
            urgent: bytes[44] != 0,
            server_closes: bytes[45] != 0,
        };
        ensure!(
            (1..=1 << 24).contains(&request.chunk),
            "client requests invalid chunk size of {} bytes",
            request.chunk
        );
        Ok(request)
    }
}

/// Sent by the server if the upload was correct. A server that finds a mismatch closes without it
/// and prints the error.
pub const VERDICT: [u8; 16] = *b"toe-stream: good";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_wire() {
        let request = Request {
            seed: 1,
            upload: 2,
            download: 3,
            rate: 4,
            chunk: 5,
            urgent: true,
            server_closes: false,
        };
        assert_eq!(Request::from_bytes(&request.to_bytes()).unwrap(), request);
        assert!(Request::from_bytes(&[0; Request::SIZE]).is_err());
    }
}
