//! Enums of which every value is a word: stored, asked for, or shown to people.
//!
//! Each such enum is written once, with the word beside the value. A value without a word does not compile, and
//! nothing else has to be touched when one is added but the matches that decide something.

/// A word that means nothing to this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{word:?} is no {what} that this version knows, which are {}",
    known.join(", ")
)]
pub struct UnknownWord {
    /// What was expected, for people.
    pub what: &'static str,
    /// The word.
    pub word: String,
    /// The words that mean something.
    pub known: Vec<&'static str>,
}

/// An enum with a word for each value. It has `ALL` its values in the order in which they are written,
/// `as_str` and `Display`. With a name after the colon, a word can be read: `FromStr`, whose error has
/// that name and the known words.
macro_rules! words {
    (
        $(#[$about:meta])*
        $visible:vis enum $kind:ident $(: $what:literal)? {
            $($(#[$meaning:meta])* $value:ident = $word:literal,)+
        }
    ) => {
        $(#[$about])*
        $visible enum $kind {
            $($(#[$meaning])* $value,)+
        }

        impl $kind {
            /// Every value, in the order in which they are declared.
            $visible const ALL: [Self; [$($word),+].len()] = [$(Self::$value),+];

            /// The word.
            #[must_use]
            $visible fn as_str(self) -> &'static str {
                match self { $(Self::$value => $word,)+ }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        $(
            impl std::str::FromStr for $kind {
                type Err = $crate::foundation::word::UnknownWord;

                fn from_str(word: &str) -> Result<Self, Self::Err> {
                    let known = Self::ALL.into_iter().find(|known| known.as_str() == word);
                    known.ok_or_else(|| $crate::foundation::word::UnknownWord {
                        what: $what,
                        word: word.to_owned(),
                        known: Self::ALL.map(Self::as_str).to_vec(),
                    })
                }
            }
        )?
    };
}
pub(crate) use words;

/// As [`words`], for an enum that is part of a document: serde writes and reads the same words.
macro_rules! stored_words {
    (
        $(#[$about:meta])*
        $visible:vis enum $kind:ident $(: $what:literal)? {
            $($(#[$meaning:meta])* $value:ident = $word:literal,)+
        }
    ) => {
        $crate::foundation::word::words! {
            $(#[$about])*
            #[derive(serde::Serialize, serde::Deserialize)]
            $visible enum $kind $(: $what)? {
                $($(#[$meaning])* #[serde(rename = $word)] $value = $word,)+
            }
        }
    };
}
pub(crate) use stored_words;

#[cfg(test)]
mod tests {
    words! {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Colour: "colour" {
            Green = "green",
            LightBlue = "light-blue",
        }
    }

    stored_words! {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Size {
            Small = "small",
            VeryLarge = "very large",
        }
    }

    #[test]
    fn a_word_is_shown_and_read() {
        assert_eq!(Colour::ALL, [Colour::Green, Colour::LightBlue]);
        for colour in Colour::ALL {
            assert_eq!(colour.to_string().parse(), Ok(colour));
        }
        let unknown = "Green".parse::<Colour>().expect_err("in lower case only");
        assert_eq!(
            unknown.to_string(),
            "\"Green\" is no colour that this version knows, which are green, light-blue"
        );
    }

    #[test]
    fn a_stored_word_is_the_same_word() {
        for size in Size::ALL {
            let written = serde_json::to_value(size).expect("written");
            assert_eq!(written, size.as_str());
            assert_eq!(serde_json::from_value::<Size>(written).expect("read"), size);
        }
        assert!(serde_json::from_str::<Size>("\"VeryLarge\"").is_err());
    }
}
