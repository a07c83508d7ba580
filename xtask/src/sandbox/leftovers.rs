//! What killed commands left of servers that were to be thrown away, and the server's own log: what of the sandbox may go without its rows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{OrFail, Result};
use crate::files;
use crate::interrupt::Interrupt;
use crate::sandbox::cluster::Cluster;
use crate::sandbox::{PLACES, base};
use crate::settings::Settings;

/// A server that its command did not come to throw away; nobody takes its place while this value lives.
pub struct Leftover {
    pub bytes: u64,
    cluster: Cluster,
    _lock: File,
}

/// All that no command holds.
///
/// # Errors
/// `blocked` when the embedded Postgres is not installed: what runs of it cannot be told then.
pub fn leftovers(settings: &Settings, interrupt: &Interrupt) -> Result<Vec<Leftover>> {
    let places = (0..PLACES).map(|number| settings.private_dir().join("ephemeral").join(number.to_string()));
    let found = places.filter_map(|base| Some((free(&base)?, base)));
    let mut left = Vec::new();
    for (lock, base) in found {
        let cluster = Cluster::find(settings, &base, interrupt)?;
        if cluster.data().exists() {
            left.push(Leftover { bytes: size(&cluster.data()), cluster, _lock: lock });
        }
    }
    Ok(left)
}

fn free(base: &Path) -> Option<File> {
    let file = OpenOptions::new().write(true).open(base.join("lock")).ok()?;
    file.try_lock().is_ok().then_some(file)
}

impl Leftover {
    /// # Errors
    /// `failed` when it does not stop, `blocked` when its files cannot be removed.
    pub fn remove(&self) -> Result<()> {
        self.cluster.stop()?;
        self.cluster.remove()
    }
}

/// What of the log is kept when it is cut.
const LOG_KEPT: u64 = 256 << 10;

/// The sandbox's server log.
pub struct Log(PathBuf);

impl Log {
    pub fn of(settings: &Settings) -> Log {
        Log(base(settings).join("postgres.log"))
    }

    /// What a cut would take.
    pub fn surplus(&self) -> u64 {
        fs::metadata(&self.0).map_or(0, |about| about.len().saturating_sub(LOG_KEPT))
    }

    /// Its end stays. In place: a server that runs has it open, and goes on at the end.
    ///
    /// # Errors
    /// `failed` when it cannot be written.
    pub fn cut(&self) -> Result<()> {
        if self.surplus() == 0 {
            return Ok(());
        }
        self.keep_end().failed(|| format!("cannot cut `{}`", self.0.display()))
    }

    fn keep_end(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(&self.0)?;
        let mut end = Vec::new();
        file.seek(SeekFrom::End(-i64::try_from(LOG_KEPT).unwrap_or_default()))?;
        (&file).take(LOG_KEPT).read_to_end(&mut end)?;
        let whole_lines = end.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&end[whole_lines..])?;
        file.set_len((end.len() - whole_lines) as u64)
    }
}

fn size(folder: &Path) -> u64 {
    let files = files::plain(folder).unwrap_or_default();
    files.iter().filter_map(|(_, path)| Some(fs::metadata(path).ok()?.len())).sum()
}
