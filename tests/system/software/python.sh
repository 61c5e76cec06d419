# python3: floats, big integers, digests, compression, packing, text.
for script in /work/software/python.py /work/software/python_random.py; do
    python3 -B "$script" || echo "$script: $?"
done
