//! Durations as session variables and options write them: `10s`, `500 ms`, a bare number.

/// Milliseconds of a duration; a bare number counts in units of `bare` milliseconds.
pub fn milliseconds(text: &str, bare: u64) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim().to_lowercase().as_str() {
        "" => bare as f64,
        "us" | "microseconds" => 0.001,
        "ms" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        _ => return None,
    };
    Some((number * factor).round() as u64)
}

/// A duration as SHOW prints it: the largest unit that fits.
pub fn show(ms: u64) -> String {
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1000, "s"),
    ];
    match units
        .iter()
        .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{} {name}", ms / unit),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows() {
        assert_eq!(milliseconds("10s", 1), Some(10_000));
        assert_eq!(milliseconds("500", 1), Some(500));
        assert_eq!(milliseconds("1 min", 1), Some(60_000));
        assert_eq!(milliseconds("soon", 1), None);
        assert_eq!(show(10_000), "10 s");
        assert_eq!(show(1500), "1500 ms");
        assert_eq!(show(60_000), "1 min");
    }
}
