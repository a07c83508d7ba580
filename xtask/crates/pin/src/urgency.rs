//! How urgently the user wants to stop. Who holds a pin says so, at any time, also while it opens.

use tokio::sync::watch;

/// Shared by all its clones.
#[derive(Debug, Clone, Default)]
pub struct Urgency(watch::Sender<usize>);

impl Urgency {
    /// `asked` is how often the user has asked to stop: once, and only who answers is waited for; twice, and nobody is.
    pub fn raise(&self, asked: usize) {
        self.0.send_replace(asked);
    }

    pub fn asked(&self) -> usize {
        *self.0.borrow()
    }

    /// Ends when the user has asked `times`.
    pub async fn raised(&self, times: usize) {
        // An error would mean that all clones are gone, and one of them is here.
        let _ = self.0.subscribe().wait_for(|asked| *asked >= times).await;
    }
}
