//! A routing function that does what it should not: the dialled address says what. For the host's tests.

mod deeds;

use deeds::Misbehaving;

tandem_function::router!(Misbehaving);
