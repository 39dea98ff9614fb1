//! `wharf report`.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use wharf_model::Fault;
use wharf_store::FoundRun;

use crate::args;
use crate::ending::Ending;
use crate::report::{err, out, page};
use crate::{stack, surroundings};

/// What stands for standard output.
const STDOUT: &str = "-";

/// Who may do what with the page, as with other files: the system takes away what the
/// user does not want.
const READABLE: u32 = 0o666;

pub(crate) fn report(args: &args::Report) -> Result<(), Ending> {
    let store = stack::existing_store(&args.within)?;
    let (run, page) = surroundings::runtime()?.block_on(async {
        let run = store.find_run(&args.run).await?;
        let page = page::gather(&store, &run).await?;
        Ok::<_, Fault>((run, page))
    })?;
    let text = page::render(&page);
    let path = match &args.output {
        Some(path) if path.as_os_str() == STDOUT => return Ok(out(&text)?),
        Some(path) => path.clone(),
        None => default_path(&run),
    };
    write(&path, &text).map_err(|error| Fault::io("write", &path, &error))?;
    err(&format!("wrote {}", path.display()));
    Ok(())
}

fn default_path(run: &FoundRun) -> PathBuf {
    PathBuf::from(format!("wharf-{}.html", run.id()))
}

/// Writes a file that is there as a whole, or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".wharf-")
        .permissions(Permissions::from_mode(READABLE))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
