//! Films on their way into what every browser plays: one after the other, in the background. What waits is noted in the
//! database, so a restart goes on where it was.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use metrics::counter;
use tracing::{info, warn};

use super::ffmpeg::{Ffmpeg, Job};
use super::films::{Films, ffmpeg_error};
use super::{Conversion, Kind, Media, SetConversion, sql};
use crate::blobs::{BlobHash, Blobs, Part};
use crate::error::{Code, Error, Result};
use crate::tasks::{Backoff, Tasks, blocking_in_turn};

/// The names of what is made.
pub(super) const FILM: &str = "film.mp4";
pub(super) const SOUND: &str = "sound.m4a";
pub(super) const LADDER: &str = "hls";
const MASTER: &str = "master.m3u8";

/// How often one that fails for no fault of its own is tried.
const ATTEMPTS: u32 = 3;

/// How long to wait before such a one is tried again.
const PAUSE: Duration = Duration::from_mins(1);

/// The pauses where nothing is wrong but what passes by itself, such as a bucket that does not answer.
const HINDERED_PAUSES: (Duration, Duration) = (Duration::from_secs(2), PAUSE);

/// How an attempt at a conversion ended.
enum Attempt {
    /// There is nothing more to do about it.
    Over,
    /// It may go better another time.
    Failed,
    /// By something that has nothing to do with it, and passes.
    Hindered,
}

/// How far each conversion is, from 0 to 1.
#[derive(Default)]
pub(super) struct Progress {
    done: Mutex<HashMap<BlobHash, f32>>,
}

impl Progress {
    fn set(&self, hash: BlobHash, part: f32) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert(hash, part);
    }

    fn clear(&self, hash: BlobHash) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.remove(&hash);
    }

    fn get(&self, hash: BlobHash) -> f32 {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.get(&hash).copied().unwrap_or(0.0)
    }
}

impl Media {
    /// How far the conversion of an upload is, from 0 to 1; none when there is nothing to wait for.
    pub async fn progress(&self, id: crate::id::MediaId) -> Result<Option<f32>> {
        let file = self.find_file(id).await?;
        let waits = file.conversion == Conversion::Waiting;
        Ok(waits.then(|| self.shared.progress.get(file.hash)))
    }

    pub(super) fn keep_converting(&self, tasks: &Tasks) {
        let (media, stopping) = (self.clone(), tasks.stopping().clone());
        tasks.spawn("conversions", async move {
            let films = media.shared.films.clone();
            let is_there = blocking_in_turn(move || Ok(films.ffmpeg().is_some())).await;
            if is_there.unwrap_or_default() {
                stopping.run_until_cancelled(media.convert_all()).await;
            }
        });
        // What the above hands to another thread ends by itself: it looks at the same token.
    }

    async fn convert_all(&self) {
        let mut attempts: HashMap<BlobHash, u32> = HashMap::new();
        let mut after = None;
        let mut pauses = Backoff::new(HINDERED_PAUSES.0, HINDERED_PAUSES.1);
        let mut has_failed = false;
        loop {
            let next = self
                .shared
                .store
                .read(move |tx| sql::next_waiting(tx, after))
                .await;
            match next {
                Ok(Some((hash, kind))) => {
                    after = Some(hash);
                    let tried = attempts.get(&hash).copied().unwrap_or_default() + 1;
                    match self.convert_one(hash, kind, tried >= ATTEMPTS).await {
                        Attempt::Over => {
                            attempts.remove(&hash);
                            pauses.reset();
                        }
                        Attempt::Failed => {
                            attempts.insert(hash, tried);
                            has_failed = true;
                        }
                        Attempt::Hindered => {
                            attempts.insert(hash, tried - 1);
                        }
                    }
                }
                // From the beginning: those that came meanwhile, and those that failed.
                Ok(None) if after.is_some() && attempts.is_empty() => after = None,
                Ok(None) => {
                    let is_waiting = after.take().is_some();
                    let news = self.shared.shelf.news.notified();
                    if is_waiting {
                        // One that failed shall not use up its attempts in the pauses of others.
                        let pause = if std::mem::take(&mut has_failed) {
                            PAUSE
                        } else {
                            pauses.pause()
                        };
                        tokio::time::timeout(pause, news).await.ok();
                    } else {
                        news.await;
                    }
                }
                Err(error) => {
                    warn!(error = %error, causes = error.causes(), "Conversions wait");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn convert_and_secure(&self, hash: BlobHash, kind: Kind) -> Result<()> {
        let (films, blobs) = (self.shared.films.clone(), self.shared.blobs.clone());
        // What is made shall not take the room that all else needs.
        blobs.check_room()?;
        // It may not be removed meanwhile.
        let pin = blobs.pin(hash)?;
        // What is made last tells that all is.
        let last = match kind {
            Kind::Video => format!("{LADDER}/{MASTER}"),
            Kind::Image | Kind::Audio => SOUND.to_owned(),
        };
        let pin = if blobs.bring(hash, Part::Made(last.into())).await?.is_none() {
            let original = blobs.bring(hash, Part::Original).await?;
            let original = original.ok_or_else(|| Error::internal("the original is gone"))?;
            let progress = std::sync::Arc::clone(&self.shared.progress);
            let work = move || {
                let tell = |part| progress.set(hash, part);
                let converted = convert(&films, &blobs, hash, kind, &original, &tell);
                progress.clear(hash);
                // It goes on when nobody waits for it any more.
                converted.map(|()| pin)
            };
            blocking_in_turn(work).await?
        } else {
            pin
        };
        self.shared.blobs.secure(hash).await?;
        drop(pin);
        Ok(())
    }

    async fn convert_one(&self, hash: BlobHash, kind: Kind, is_last: bool) -> Attempt {
        let state = match self.convert_and_secure(hash, kind).await {
            Ok(()) => {
                counter!("socialhub_media_conversions_total", "outcome" => "done").increment(1);
                Conversion::Done
            }
            // It stops, or the content is being removed just now.
            Err(error) if matches!(error.code(), Code::NotReady | Code::Overloaded) => {
                return Attempt::Hindered;
            }
            Err(error)
                if matches!(
                    error.code(),
                    Code::MediaStoreUnavailable | Code::StorageFull
                ) =>
            {
                warn!(error = %error, causes = error.causes(), "A video waits to be converted");
                return Attempt::Hindered;
            }
            Err(error) => {
                let is_its_fault = error.code() != Code::Internal;
                warn!(error = %error, causes = error.causes(), "A video could not be converted");
                if !is_its_fault && !is_last {
                    return Attempt::Failed;
                }
                counter!("socialhub_media_conversions_total", "outcome" => "failed").increment(1);
                Conversion::Failed
            }
        };
        let noted = self
            .shared
            .store
            .submit(SetConversion { hash, state })
            .await;
        if let Err(error) = &noted {
            warn!(error = %error, causes = error.causes(), "A conversion could not be noted");
        }
        if noted.is_ok() {
            Attempt::Over
        } else {
            Attempt::Hindered
        }
    }
}

/// Makes what browsers play of a film or a recording. Blocks for as long as that takes.
fn convert(
    films: &Films,
    blobs: &Blobs,
    hash: BlobHash,
    kind: Kind,
    original: &Path,
    progress: &dyn Fn(f32),
) -> Result<()> {
    let ffmpeg: &Ffmpeg = films.ffmpeg().ok_or(Code::NotReady)?;
    let scratch = blobs.scratch()?;
    let should_stop = || films.stopping.is_cancelled();
    let job = Job {
        limits: &films.limits,
        scratch: scratch.path(),
        should_stop: &should_stop,
    };
    let facts = ffmpeg.probe(original, &job).map_err(ffmpeg_error)?;
    if kind == Kind::Audio {
        let out = scratch.path().join(SOUND);
        ffmpeg
            .audio(original, &facts, &out, progress, &job)
            .map_err(ffmpeg_error)?;
        return blobs.adopt(hash, SOUND, &out);
    }
    // The ladder takes several times as long as the one film.
    let out = scratch.path().join(FILM);
    ffmpeg
        .mp4(original, &facts, &out, &|part| progress(part * 0.3), &job)
        .map_err(ffmpeg_error)?;
    blobs.adopt(hash, FILM, &out)?;
    let out = scratch.path().join(LADDER);
    std::fs::create_dir(&out).map_err(Error::internal)?;
    let ladder = ffmpeg
        .hls(
            original,
            &facts,
            &out,
            &|part| progress(0.3 + part * 0.7),
            &job,
        )
        .map_err(ffmpeg_error)?;
    // The master last: what it names is there when it is.
    let mut files: Vec<&str> = ladder.files().collect();
    files.sort_by_key(|name| *name == MASTER);
    for name in files {
        blobs.adopt(hash, &format!("{LADDER}/{name}"), &out.join(name))?;
    }
    info!("Converted the video {hash}");
    Ok(())
}
