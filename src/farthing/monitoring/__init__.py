"""What is happening in this process, and how do people outside get to see it?

`metrics` counts what was called, `exposition` writes figures as Prometheus reads them, `process` asks the system about
ourselves, `logs` carries lines away without making anybody wait, `access_log` writes one for each attempt. The room
listens to events and looks at numbers; it decides nothing, and no call waits for it.
"""
