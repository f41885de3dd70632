"""Development parts: the same function on real local servers. Never deployed.

In the order in which an image meets them:

    emulators.py   Cloud Storage, Pub/Sub and Firestore on this machine
    eventarc.py    Pub/Sub message -> CloudEvent -> the function, with redelivery
    function.py    the function itself under functions-framework
    standin.py     a model server that measures the picture instead of seeing it
    stack.py       all of them together
    demo.py, describe.py, upload.py   what one runs by hand
"""
