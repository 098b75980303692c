// SPDX-License-Identifier: GPL-2.0

//! Numbers with units: parsed like `tc` does, and formatted for people.

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

/// Splits `text` into its leading number and the rest.
fn split(text: &str) -> Result<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number
        .parse()
        .ok()
        .with_context(|| format!("'{text}' does not start with a number"))?;
    Ok((number, unit))
}

/// Parses a probability in percent. Returns parts per million.
pub fn probability(text: &str) -> Result<u32> {
    let (number, unit) = split(text)?;
    ensure!(
        unit == "%",
        "invalid probability '{text}': use percent, such as 1% or 0.01%"
    );
    ensure!(number <= 100.0, "'{text}' is more than 100%");
    Ok((number * 10_000.0).round() as u32)
}

/// Parses a time in us, ms or s. Returns microseconds.
pub fn microseconds(text: &str) -> Result<u32> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => bail!("invalid time '{text}': use us, ms or s, such as 10ms"),
    };
    let micros = (number * factor).round();
    ensure!(
        micros <= f64::from(u32::MAX),
        "'{text}' is longer than {} s",
        u32::MAX / 1_000_000
    );
    Ok(micros as u32)
}

/// Parses a rate in bit, kbit, mbit or gbit per second. Returns bit/s.
pub fn rate(text: &str) -> Result<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "bit" => 1.0,
        "kbit" => 1e3,
        "mbit" => 1e6,
        "gbit" => 1e9,
        _ => bail!("invalid rate '{text}': use bit, kbit, mbit or gbit, such as 100mbit"),
    };
    Ok((number * factor).round() as u64)
}

/// Parses an integer.
pub fn number(text: &str) -> Result<u64> {
    text.parse()
        .ok()
        .with_context(|| format!("'{text}' is not an integer"))
}

/// Formats bytes with three digits and a binary prefix.
pub fn bytes(value: u64) -> String {
    const PREFIXES: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if value < 1024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64;
    let mut prefix = "";
    for next in PREFIXES {
        scaled /= 1024.0;
        prefix = next;
        if scaled < 999.5 {
            break;
        }
    }
    let digits = if scaled < 9.995 {
        2
    } else if scaled < 99.95 {
        1
    } else {
        0
    };
    format!("{scaled:.digits$} {prefix}B")
}

/// Formats milliseconds.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units() {
        assert_eq!(probability("0.0001%").unwrap(), 1);
        assert_eq!(probability("100%").unwrap(), 1_000_000);
        assert!(probability("1").is_err());
        assert_eq!(microseconds("1.5ms").unwrap(), 1500);
        assert!(microseconds("5000s").is_err());
        assert!(microseconds("ms").is_err());
        assert_eq!(rate("2.5gbit").unwrap(), 2_500_000_000);
        assert!(rate("10").is_err());
        assert_eq!(number("18446744073709551615").unwrap(), u64::MAX);
        assert!(number("-1").is_err());
    }

    #[test]
    fn prints_units() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.00 KiB");
        assert_eq!(bytes(10 * 1024 * 1024 + 52_429), "10.1 MiB");
        assert_eq!(bytes(1023 * 1024), "1.00 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(duration(0), "0.0s");
        assert_eq!(duration(61_500), "1m01s");
        assert_eq!(duration(7_260_000), "2h01m");
        assert_eq!(duration(90_000_000), "1d01h");
    }
}
