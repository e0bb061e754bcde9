"""
Commissioning: tests of each device of a site with the operator's consent, and a signed protocol of them.

An installer runs it beside the inverter, before the site goes live. It finds the faults that cost a closed loop its
stability: a meter that counts the other way, that has no sign, that shows kW for W, that hangs at another place, one CT
turned round, a device that does not follow its set-point.

How it works, and why so:

- It holds the store's lock for as long as it runs, so that the daemon and it are never two masters of one device.
- What stands in a point is journaled as a hold before the first write, as the daemon does: where even `kill -9` or a
  power cut ends it, the daemon gives back at its next start.
- Nothing is written without consent, and then no more than was told. No reversion is armed in the device: what is found
  in its registers is what is left there.
- A step is repeated, on and off in turn. What a device did to the meter is the difference of the means of both, with
  the drift between them taken out; how far the repetitions differ is the noise, which comes from the load and the sun.
  A noise larger than half of the step makes no verdict.
- What a step moves is judged against what was asked for, and the meter against what the device itself says it did.
- What was written is given back in every case: after an error, on Ctrl-C and on SIGTERM, within a bounded time. The
  protocol says if it could not be.

`readings`, `effect`, `follow`, `plan`, `protocol`, `plot` and `page` are pure: samples in, verdicts and text out.
`bench` runs the drivers, `session` the tests, `folder` writes, signs and verifies.
"""
