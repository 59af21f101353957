//! The plan as text and Markdown for people.
