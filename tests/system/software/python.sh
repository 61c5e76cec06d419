# python3: floats, big integers, digests, compression, packing, text.
python3 -B /work/software/python.py && python3 -B /work/software/python_random.py
