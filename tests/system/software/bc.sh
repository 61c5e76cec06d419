# bc and dc to many digits.
BC_LINE_LENGTH=0 bc -l <<'END'
scale=500
e(1)
4*a(1)
sqrt(2)
l(2)
s(1)
c(1)
j(0,1)
e(l(3)*7/5)
2^4423-1
(3^997) % (2^521-1)
scale=100
for (i = 1; i < 40; i++) s(i)/l(i+1)
obase=16
4*a(1)
END
dc -e '300k 2v p 16o p 10o 3 2000^ 7 1009^ % p [la1+dsa*pla20>y]sy 0sa1 lyx' 2>&1
