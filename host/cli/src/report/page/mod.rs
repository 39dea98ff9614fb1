//! A page about a run: one HTML file that needs nothing from elsewhere.
//!
//! ```text
//! store -> gather -> Page (plain data, cut to size) -> render -> HTML
//! ```
//!
//! What a step says is hostile. `maud` escapes every text, whatever is forgotten; then
//! every character that does something rather than being seen is replaced in the whole
//! page; and the page's own policy lets it load and run nothing, and have no style but
//! the one that it is known to have.

mod data;
mod gather;
mod limits;
mod render;

pub(crate) use gather::gather;
pub(crate) use render::render;
