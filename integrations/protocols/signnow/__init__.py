"""What the services expect of SignNow: one part per noun, all of them in `SignNow`."""

from integrations.protocols.signnow.gateway import SignNow as SignNow
