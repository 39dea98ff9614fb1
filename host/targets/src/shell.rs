//! Text of POSIX shells.

/// A text as one word: as it is, where nothing in it means something to a shell.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_one_word() {
        assert_eq!(word("s3://bucket/wharf"), "s3://bucket/wharf");
        assert_eq!(word("a b's $x"), "'a b'\\''s $x'");
        assert_eq!(word(""), "''");
    }
}
