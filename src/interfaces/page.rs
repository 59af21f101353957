//! The page that people look at and decide on: its files, which are part of the program, the HTML that
//! the server itself writes, and who is logged in.
//!
//! A browser has a random session id in a cookie and never a token. Sessions are in memory: a restart
//! logs everybody out. What the page shows it asks of the same API as everybody else.

pub(crate) use assets::{asset, digest};
pub(crate) use html::{login, shell};
pub(crate) use sessions::{LASTS, Session, Sessions};

mod assets;
mod html;
mod sessions;

/// What a browser may load and do on the page. Nothing from elsewhere, nothing inline, and no text
/// becomes markup.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Stands in every request of the page's script that changes something. Another origin cannot send it.
pub(crate) const OWN_HEADER: &str = "x-cutover-page";
