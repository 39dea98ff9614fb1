//! The pages that show a whole capability are followed, command by command.

use crate::harness::Page;

/// `docs/promote.md`: which model is tagged, and when the tag moves.
#[test]
fn a_model_is_promoted_as_the_page_says() {
    Page::open("promote.md").follow();
}
