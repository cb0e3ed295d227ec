//! Variables and secrets, by the four names that tools have for them: two drafts of `wasi:config`, and Spin's two.

use wasmtime::component::{Accessor, HasSelf};

use crate::capabilities::Sandbox;
use crate::capabilities::foreign::fermyon::spin::variables as spin_2;
use crate::capabilities::foreign::spin::variables::variables as spin_3;
use crate::capabilities::foreign::wasi::{config0_2_0_draft_2024_09_27 as draft, config0_2_0_rc_1 as candidate};
use crate::outside::{Question, Refusal};

/// Both drafts of `wasi:config` have the same shape.
macro_rules! store {
    ($store:path) => {
        const _: () = {
            use $store as store;

            impl store::Host for Sandbox {
                async fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
                    let text = self.door().ask(Question::Variable { name }).await.text();
                    Ok(text.map_err(|refusal| store::Error::Upstream(refusal.to_string())))
                }

                async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
                    let texts = self.door().ask(Question::Variables).await.texts();
                    Ok(texts.map_err(|refusal| store::Error::Upstream(refusal.to_string())))
                }
            }
        };
    };
}

store!(candidate::store);
store!(draft::store);

/// A variable that is not there, or a refusal, in the words of one of Spin's interfaces.
macro_rules! found {
    ($name:expr, $text:expr, $error:path) => {{
        use $error as Error;
        match $text {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(Error::Undefined($name)),
            Err(Refusal::Invalid(why)) => Err(Error::InvalidName(why)),
            Err(refusal) => Err(Error::Provider(refusal.to_string())),
        }
    }};
}

impl spin_2::Host for Sandbox {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<String, spin_2::Error>> {
        let text = self.door().ask(Question::Variable { name: name.clone() }).await.text();
        Ok(found!(name, text, spin_2::Error))
    }
}

impl spin_3::Host for Sandbox {}

impl<T> spin_3::HostWithStore<T> for HasSelf<Sandbox> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, spin_3::Error>> {
        let door = accessor.with(|mut access| access.get().door().clone());
        let text = door.ask(Question::Variable { name: name.clone() }).await.text();
        Ok(found!(name, text, spin_3::Error))
    }
}
