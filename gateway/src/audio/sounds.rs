//! Sounds as packets: prompts from the archive, held in memory for as long as they are the newest and there is room; tones made here.
//! Runs on the control runtime, never on a codec thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tandem_audio::prompt::Prompt;
use tandem_audio::tone::{Meaning, Region, Tone as Waves};
use tandem_switch::audio::{Digit, Sound};
use tandem_switch::id::TenantId;
use tandem_switch::plan::Tone;

use super::archive::{Archive, Fetched};
use super::limits;

/// Packets of 20 ms, shared by all that play them.
pub(super) type Packets = Arc<[Bytes]>;

/// Finds and makes sounds.
pub(super) struct Sounds {
    archive: Arc<dyn Archive>,
    prompts: Mutex<Cache>,
    /// Few: looked through.
    tones: Mutex<Vec<(Tone, Packets)>>,
}

impl Sounds {
    pub(super) fn new(archive: Arc<dyn Archive>) -> Self {
        Self { archive, prompts: Mutex::default(), tones: Mutex::default() }
    }

    /// A sound's packets; none for a greeting that a mailbox does not have.
    pub(super) async fn load(&self, tenant: &TenantId, sound: Sound) -> Result<Packets, String> {
        match sound {
            Sound::Prompt(name) => self.prompt(tenant, &name).await,
            Sound::Greeting(mailbox) => match self.archive.greeting(tenant, &mailbox).await? {
                Some(name) => self.prompt(tenant, &name).await,
                None => Ok(Arc::new([])),
            },
            Sound::Tone(tone) => self.tone(tone).await,
            Sound::Digits(digits) => {
                let digits: String = digits.into_iter().map(Digit::as_char).collect();
                made(move || Waves::dtmf(&digits).map_or(Ok(Arc::new([]) as Packets), |waves| waves.packets())).await
            }
        }
    }

    async fn prompt(&self, tenant: &TenantId, name: &str) -> Result<Packets, String> {
        let known = self.prompts().get(tenant, name);
        match self.archive.prompt(tenant, name, known.as_ref().map(|(revision, _)| *revision)).await? {
            Fetched::Same => known.map(|(_, packets)| packets).ok_or_else(|| "the prompt was not sent".to_owned()),
            Fetched::New { revision, ogg } => {
                let prompt = tokio::task::spawn_blocking(move || Prompt::from_ogg(&ogg)).await;
                let prompt = prompt.map_err(|_| "the gateway is stopping".to_owned())?;
                let packets = prompt.map_err(|error| format!("the prompt `{name}` cannot be read: {error}"))?.packets;
                self.prompts().put(tenant, name, revision, Arc::clone(&packets));
                Ok(packets)
            }
        }
    }

    async fn tone(&self, tone: Tone) -> Result<Packets, String> {
        if let Some((_, packets)) = self.tones().iter().find(|(made, _)| *made == tone) {
            return Ok(Arc::clone(packets));
        }
        let waves = match tone {
            Tone::Dial => Waves::network(Meaning::Dial, Region::default()),
            Tone::RingBack => Waves::network(Meaning::RingBack, Region::default()),
            Tone::Busy => Waves::network(Meaning::Busy, Region::default()),
            Tone::Congestion => Waves::network(Meaning::Congestion, Region::default()),
            Tone::Beep => Waves::beep(),
        };
        let packets = made(move || waves.packets()).await?;
        let mut tones = self.tones();
        if tones.iter().all(|(made, _)| *made != tone) {
            tones.push((tone, Arc::clone(&packets)));
        }
        Ok(packets)
    }

    fn prompts(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tones(&self) -> std::sync::MutexGuard<'_, Vec<(Tone, Packets)>> {
        self.tones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Encodes away from the threads that carry calls.
async fn made(
    make: impl FnOnce() -> Result<Packets, tandem_audio::opus::CodecError> + Send + 'static,
) -> Result<Packets, String> {
    let packets = tokio::task::spawn_blocking(make).await.map_err(|_| "the gateway is stopping".to_owned())?;
    packets.map_err(|error| format!("the tone cannot be made: {error}"))
}

/// Prompts in memory: the ones used last, of each tenant and of all.
#[derive(Debug, Default)]
struct Cache {
    held: HashMap<TenantId, HashMap<String, Held>>,
    bytes: usize,
    /// Counts uses: the clock by which the one unused for longest is found.
    uses: u64,
}

#[derive(Debug)]
struct Held {
    revision: u64,
    packets: Packets,
    bytes: usize,
    used: u64,
}

impl Cache {
    fn get(&mut self, tenant: &TenantId, name: &str) -> Option<(u64, Packets)> {
        self.uses += 1;
        let held = self.held.get_mut(tenant)?.get_mut(name)?;
        held.used = self.uses;
        Some((held.revision, Arc::clone(&held.packets)))
    }

    fn put(&mut self, tenant: &TenantId, name: &str, revision: u64, packets: Packets) {
        let bytes = packets.iter().map(Bytes::len).sum();
        self.forget(tenant, name);
        if bytes > limits::CACHED_BYTES_PER_TENANT_MAX {
            return;
        }
        loop {
            let own = self.held.get(tenant);
            let (count, own_bytes) =
                own.map_or((0, 0), |own| (own.len(), own.values().map(|held| held.bytes).sum::<usize>()));
            let is_full_for_tenant = count >= limits::CACHED_PROMPTS_PER_TENANT_MAX
                || own_bytes + bytes > limits::CACHED_BYTES_PER_TENANT_MAX;
            if !is_full_for_tenant && self.bytes + bytes <= limits::CACHED_BYTES_MAX {
                break;
            }
            let oldest = self
                .held
                .iter()
                .filter(|(whose, _)| !is_full_for_tenant || *whose == tenant)
                .flat_map(|(whose, own)| own.iter().map(move |(name, held)| (held.used, whose, name)))
                .min_by_key(|(used, ..)| *used)
                .map(|(_, whose, name)| (whose.clone(), name.clone()));
            let Some((whose, which)) = oldest else { break };
            self.forget(&whose, &which);
        }
        self.uses += 1;
        self.bytes += bytes;
        let held = Held { revision, packets, bytes, used: self.uses };
        self.held.entry(tenant.clone()).or_default().insert(name.to_owned(), held);
    }

    fn forget(&mut self, tenant: &TenantId, name: &str) {
        let Some(own) = self.held.get_mut(tenant) else { return };
        if let Some(gone) = own.remove(name) {
            self.bytes -= gone.bytes;
        }
        if own.is_empty() {
            self.held.remove(tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(bytes: usize) -> Packets {
        vec![Bytes::from(vec![0; bytes])].into()
    }

    #[test]
    fn the_prompt_unused_for_longest_makes_room_within_its_tenant_first() {
        let (acme, other) = (TenantId::new("acme").unwrap(), TenantId::new("other").unwrap());
        let mut cache = Cache::default();
        cache.put(&other, "theirs", 1, packets(1000));
        for number in 0..limits::CACHED_PROMPTS_PER_TENANT_MAX {
            cache.put(&acme, &number.to_string(), 1, packets(10));
        }
        cache.get(&acme, "0");
        cache.put(&acme, "one more", 1, packets(10));
        assert!(cache.get(&acme, "0").is_some(), "it was used");
        assert!(cache.get(&acme, "1").is_none(), "it was unused for longest");
        assert!(cache.get(&acme, "one more").is_some() && cache.get(&other, "theirs").is_some());
        cache.put(&acme, "huge", 1, packets(limits::CACHED_BYTES_PER_TENANT_MAX));
        assert_eq!(cache.held[&acme].len(), 1, "its bytes are bounded too");
        cache.put(&acme, "too large", 1, packets(limits::CACHED_BYTES_PER_TENANT_MAX + 1));
        assert!(cache.get(&acme, "too large").is_none() && cache.get(&acme, "huge").is_some());
        assert_eq!(cache.bytes, limits::CACHED_BYTES_PER_TENANT_MAX + 1000);
        cache.put(&acme, "huge", 2, packets(5));
        assert_eq!(cache.get(&acme, "huge").map(|(revision, _)| revision), Some(2));
        assert_eq!(cache.bytes, 1005);
    }
}
