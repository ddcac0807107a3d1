"""What can go wrong, as exceptions with the message that the command line prints after `error:`."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception


class Error(RuntimeError):
    """Something failed that is not the caller's fault: a full disk, a killed stage, a deadline."""
    exit_status = 1


class InvalidArgument(Error, ValueError):
    """What the caller gave is wrong: options, a model, a damaged folder, the type or shape of an input."""
    exit_status = 2
