-- What the pepper of the keys leaves here; NULL while no host has started.
SELECT pepper_check FROM farthing
