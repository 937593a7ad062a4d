//! AWS CloudTrail, as far as it is served: `LookupEvents` over the audit records of the kernel.
