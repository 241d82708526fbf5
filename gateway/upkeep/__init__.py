"""What has to be done now and then: retention, checkpoints, watermarks, expiries."""
