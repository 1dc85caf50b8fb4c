//! The known name that somebody probably meant.

pub(crate) use cofferdam_hcl::nearest;
