//! Changes inputs and leaves the folders. Each attempt is printed with what came
//! of it; the program itself succeeds, so that a test can read all of them.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::Write;

use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{Descriptor, ErrorCode, NewTimestamp, PathFlags};

/// Tries to change what is under `/in`.
pub fn write_in() {
    show("create", fs::write("/in/new", "x"));
    show("create folder", fs::create_dir("/in/folder"));
    show("truncate", File::create("/in/data").map(drop));
    show(
        "append",
        OpenOptions::new()
            .append(true)
            .open("/in/data")
            .and_then(|mut file| file.write_all(b"x")),
    );
    show(
        "overwrite",
        OpenOptions::new()
            .write(true)
            .open("/in/data")
            .and_then(|mut file| file.write_all(b"x")),
    );
    show(
        "set length",
        OpenOptions::new()
            .write(true)
            .open("/in/data")
            .and_then(|file| file.set_len(0)),
    );
    show("rename", fs::rename("/in/data", "/in/other"));
    show("rename out", fs::rename("/in/data", "/out/taken"));
    show(
        "rename over",
        fs::write("/out/made", "x").and_then(|()| fs::rename("/out/made", "/in/data")),
    );
    show("hard link", fs::hard_link("/in/data", "/in/link"));
    show("hard link out", fs::hard_link("/in/data", "/out/link"));
    show(
        "symbolic link",
        at("/in", |folder| folder.symlink_at("data", "link")),
    );
    show(
        "times",
        at("/in", |folder| {
            folder.set_times_at(
                PathFlags::empty(),
                "data",
                NewTimestamp::Now,
                NewTimestamp::Now,
            )
        }),
    );
    show("remove", fs::remove_file("/in/data"));
    show("remove folder", fs::remove_dir_all("/in"));
    show("read", fs::read("/in/data"));
}

/// Tries to reach what is outside `/in` and `/out`.
pub fn escape() {
    for path in [
        "/etc/passwd",
        "/in/../etc/passwd",
        "/in/../../../../etc/passwd",
        "../etc/passwd",
        "/proc/self/environ",
    ] {
        show(&format!("read {path}"), fs::read(path));
    }
    for path in [
        "/x",
        "/out/../x",
        "/out/../../../../tmp/x",
        "../x",
        "/tmp/x",
    ] {
        show(&format!("write {path}"), fs::write(path, "x"));
    }
    for target in ["/etc/passwd", "../../../../../../etc/passwd", "..", "/"] {
        show(
            &format!("link to {target}"),
            at("/out", |folder| folder.symlink_at(target, "link")),
        );
        show(&format!("read by link to {target}"), fs::read("/out/link"));
        show(
            &format!("write by link to {target}"),
            fs::write("/out/link/x", "x"),
        );
        show(
            &format!("remove link to {target}"),
            fs::remove_file("/out/link"),
        );
    }
    // What is published must not be what a link leads to.
    let relative = "../../../../../../../../etc/passwd";
    show(
        "link as output",
        at("/out", |folder| folder.symlink_at(relative, "data")),
    );
    show("rename /out to /in", fs::rename("/out", "/in/out"));
    show(
        "rename /out to its parent",
        fs::rename("/out", "/elsewhere"),
    );
    show("list /", fs::read_dir("/").map(Iterator::count));
    show("list /out/..", fs::read_dir("/out/..").map(Iterator::count));
}

/// Calls a function of the file system that the standard library lacks, in a
/// folder that was opened for the program.
fn at<T>(
    folder: &str,
    call: impl FnOnce(&Descriptor) -> Result<T, ErrorCode>,
) -> Result<T, String> {
    let opened = preopens::get_directories();
    let found = opened
        .iter()
        .find(|(_, name)| name.trim_end_matches('/') == folder);
    let (descriptor, _) = found.ok_or_else(|| format!("{folder} was not opened"))?;
    call(descriptor).map_err(|error| format!("{error:?}"))
}

fn show<T, E: Debug>(what: &str, outcome: Result<T, E>) {
    match outcome {
        Ok(_) => println!("{what}: ok"),
        Err(error) => println!("{what}: {error:?}"),
    }
}
