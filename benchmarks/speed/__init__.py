"""Speed and memory of `heed serve`, compared with what the hardware and the libraries allow."""
